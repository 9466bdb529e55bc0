import type { Role } from './entities';
import type { ErrorCode } from './errors';

/** What to search for. All conditions must hold; without words, every message that matches the rest is found. */
export interface SearchQuery {
  /** Words, or parts of words, that a message must all contain, in any case. */
  words: string[];
  /** Only in sessions of this agent. */
  agent?: string;
  /** Only messages of this role. */
  role?: Role;
  /** Only messages that were written at this time or later. */
  since?: string;
  /** Only messages that were written before this time. */
  until?: string;
  /** Search the trash instead. */
  trash?: boolean;
  /** How many to find at most; 100 by default. */
  limit?: number;
}

/** The result of a search. */
export interface SearchResult {
  /** The messages, newest sessions first, and within each from the first message on. */
  hits: SearchHit[];
  /** What could not be read and so was not searched. */
  unreadable: { code: ErrorCode; message: string }[];
  /** Whether there are more than the limit. */
  more: boolean;
}

/** A message that was found. */
export interface SearchHit {
  /** The id of its session. */
  session: string;
  /** The name of that session. */
  name: string;
  /** Its position in the session's history: `history(session, { from: position })` begins with it. */
  position: number;
  /** When it was written. */
  at: string;
  /** Its author's role. */
  type?: Role;
  /** The text around the first word that was found, in one line. */
  snippet: string;
}
