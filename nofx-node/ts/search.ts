import type { Role } from './entities';
import type { ErrorCode } from './errors';

/** What to search for. All of it must hold; without words, every message that the rest lets through is found. */
export interface SearchQuery {
  /** Words, or parts of words, that a message must all contain, in any case. */
  words: string[];
  /** Only in sessions of this agent. */
  agent?: string;
  /** Only what was said by this. */
  role?: Role;
  /** Only what was written at this time or later. */
  since?: string;
  /** Only what was written before this time. */
  until?: string;
  /** In the trash instead. */
  trash?: boolean;
  /** How many to find at most; otherwise 100. */
  limit?: number;
}

/** What was found. */
export interface SearchResult {
  /** The messages, newest session first, and in each from the first message on. */
  hits: SearchHit[];
  /** What could not be read and so was not searched. */
  unreadable: { code: ErrorCode; message: string }[];
  /** Whether there are more than were asked for. */
  more: boolean;
}

/** A message that was found. */
export interface SearchHit {
  /** The id of its session. */
  session: string;
  /** What people call that session. */
  name: string;
  /** Its place in the session's history: `history(session, { from: position })` begins with it. */
  position: number;
  /** When it was written. */
  at: string;
  /** Who said it. */
  type?: Role;
  /** The words around the first one that was found, in one line. */
  snippet: string;
}
