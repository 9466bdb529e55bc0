import type { Session, UnreadableSession } from './entities';
import type { NofxError } from './errors';
import type { OrchestrationStats } from './orchestration';

/** What to keep. A rule that is not given removes nothing; active and paused sessions that have not expired are never touched. */
export interface RetentionPolicy {
  /** Archive sessions that have been inactive for this long. */
  archiveAfterMs?: number;
  /** Move sessions to the trash that have been inactive for this long. */
  deleteAfterMs?: number;
  /** Move the sessions that have been inactive the longest to the trash, until this many are left. */
  maxSessions?: number;
  /** The same until the messages of the remaining sessions have at most this many bytes. Every message is read to find out. */
  maxBytes?: number;
  /** Purge sessions that have been in the trash for this long; 30 days by default. */
  purgeAfterMs?: number;
  /** How many of the messages between agents to keep at least; 60 MiB of them by default. */
  orchestrationMessages?: number;
}

/** What a cleanup would do. None of it has happened. */
export interface CleanupPreview {
  /** Sessions that would be archived. */
  archive: PlannedSession[];
  /** Sessions that would be moved to the trash. */
  delete: PlannedSession[];
  /** Sessions in the trash that would be purged. */
  purge: PlannedSession[];
  /** How many messages between agents would be removed. */
  orchestrationMessages: number;
}

/** A session that a cleanup would touch. */
export interface PlannedSession {
  session: Session;
  /** When it was last active. */
  lastActiveAt: string;
  /** The bytes of its own messages, if the policy needs them. */
  bytes?: number;
}

/** What a cleanup has done. */
export interface Cleanup {
  /** How many sessions were archived. */
  archived: number;
  /** How many sessions were moved to the trash. */
  deleted: number;
  /** How many sessions in the trash were purged. */
  purged: number;
  /** How many messages between agents were removed. */
  orchestrationMessages: number;
  /** Sessions that were left unchanged, because the action failed or they changed after the plan was made. */
  left: UnreadableSession[];
}

/** What was removed from a store, and what was left. */
export interface Cleared {
  /** How many sessions were removed, in all namespaces and including the trash. */
  sessions: number;
  /** Why something was left, each naming it: it cannot be read, or a later version wrote it. */
  left: NofxError[];
}

/** The result for long contents, each of which is stored once however many messages have it. */
export interface Swept {
  /** How many were removed. */
  removed: number;
  /** How many were kept. */
  kept: number;
}

/** How much a store holds. */
export interface Stats {
  /** The number of agents. */
  agents: number;
  /** The number of sessions, without those in the trash. */
  sessions: number;
  /** How many of them have the status active; some of these may have expired since. */
  active: number;
  /** How many of them are archived. */
  archived: number;
  /** The number of sessions in the trash. */
  trash: number;
  /** The number of templates. */
  templates: number;
  /** The messages between agents. */
  orchestration: OrchestrationStats;
}
