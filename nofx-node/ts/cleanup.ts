import type { Session } from './entities';

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
