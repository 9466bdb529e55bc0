import type { Session, UnreadableSession } from './entities';
import type { NofxError } from './errors';
import type { OrchestrationStats } from './orchestration';

/** What a store is to keep. What is not said keeps everything, as far as that rule goes; a session that goes on is never touched. */
export interface RetentionPolicy {
  /** Archive sessions in which nothing has happened for so long. */
  archiveAfterMs?: number;
  /** Put sessions into the trash in which nothing has happened for so long. */
  deleteAfterMs?: number;
  /** Put the sessions into the trash in which nothing has happened the longest, until so many are left. */
  maxSessions?: number;
  /** The same until the messages of those that are left have so many bytes. To know it, every message is read. */
  maxBytes?: number;
  /** Remove sessions for good that have been in the trash for so long; otherwise thirty days. */
  purgeAfterMs?: number;
  /** How many of the messages between agents to keep at least; otherwise 60 MiB of them. */
  orchestrationMessages?: number;
}

/** What a cleanup would do. Nothing of it has happened. */
export interface CleanupPreview {
  /** Sessions that would be archived. */
  archive: PlannedSession[];
  /** Sessions that would be put into the trash. */
  delete: PlannedSession[];
  /** Sessions in the trash that would be removed for good. */
  purge: PlannedSession[];
  /** How many messages between agents would be removed for good. */
  orchestrationMessages: number;
}

/** A session that a cleanup would touch. */
export interface PlannedSession {
  session: Session;
  /** When something last happened in it. */
  lastActiveAt: string;
  /** The bytes of its own messages, if the policy asks for them. */
  bytes?: number;
}

/** What a cleanup has done. */
export interface Cleanup {
  /** How many sessions were archived. */
  archived: number;
  /** How many sessions were put into the trash. */
  deleted: number;
  /** How many sessions in the trash were removed for good. */
  purged: number;
  /** How many messages between agents were removed for good. */
  orchestrationMessages: number;
  /** Sessions for which it failed, or that changed after the plan was made, and so were left as they were. */
  left: UnreadableSession[];
}

/** What was removed of a store, and what was left. */
export interface Cleared {
  /** How many sessions were removed, of all namespaces and with those in the trash. */
  sessions: number;
  /** Why something is left, each naming what: it cannot be read, or a later version wrote it. */
  left: NofxError[];
}

/** What became of long contents, which are kept once however many messages have them. */
export interface Swept {
  /** How many were removed. */
  removed: number;
  /** How many were kept. */
  kept: number;
}

/** How much a store holds. */
export interface Stats {
  /** How many agents. */
  agents: number;
  /** How many sessions, without those in the trash. */
  sessions: number;
  /** How many of them were last decided to be active; some may have expired since. */
  active: number;
  /** How many of them are archived. */
  archived: number;
  /** How many sessions in the trash. */
  trash: number;
  /** How many templates. */
  templates: number;
  /** The messages between agents. */
  orchestration: OrchestrationStats;
}
