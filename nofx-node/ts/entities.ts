import type { ErrorCode, NofxError } from './errors';

/**
 * Times are texts as `toISOString` writes them, wherever they come from. Positions and counts are numbers: they stay far below 2^53.
 * Members that this version does not know are kept and come back as they are.
 */
export interface Agent {
  /** Names it. */
  id: string;
  /** What people call it. */
  name: string;
  /** What it is for, such as `frontend-specialist`. */
  type: string;
  [member: string]: unknown;
}

/** An agent in a list. */
export interface ListedAgent extends Agent {
  /** Why it cannot be read, if so; `id`, `name` and `type` are then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** What may be changed of an agent: any member but its `id`; `null` removes one. */
export interface AgentChanges {
  id?: undefined;
  /** What people call it. */
  name?: string;
  /** What it is for, such as `frontend-specialist`. */
  type?: string;
  [member: string]: unknown;
}

/** Who said a message. */
export type Role = 'user' | 'assistant' | 'system' | 'tool' | (string & {});

/** A message to be added. */
export interface NewMessage {
  /** Who says it. */
  type: Role;
  /** What is said. */
  content: string;
  /** Names it; one is made if it is missing. */
  id?: string;
  /** When it was said; now, if it is missing. */
  timestamp?: string;
  /** What else is known: the task, files, commands, errors. */
  metadata?: { [member: string]: unknown };
  [member: string]: unknown;
}

/** A message of a conversation. What an old version wrote may lack members. */
export interface Message {
  /** Names it; may repeat. */
  id?: string;
  /** When it was said. */
  timestamp?: string;
  /** Who said it. */
  type?: Role;
  /** What was said, if that is a text. */
  content?: string;
  /** What else is known: the task, files, commands, errors. */
  metadata?: { [member: string]: unknown };
  [member: string]: unknown;
}

/** A message and its place in its session's history. */
export interface HistoryEntry {
  /** Its place, dense from zero, counted through the messages that the session was restored with. */
  position: number;
  /** When it was written, by the writer's clock; not necessarily rising. Empty if it is unreadable and its time too. */
  at: string;
  /** Which open workspace wrote it: every `open` has a name of its own. */
  writer?: string;
  /** The message. */
  message: Message;
  /** Why the message cannot be read, if so; it is then empty, and the others are not concerned. */
  unreadable?: string;
  /** The code of the error, if the message cannot be read. */
  code?: ErrorCode;
}

/** What was last decided about a session. */
export type SessionStatus = 'active' | 'paused' | 'expired' | 'archived' | (string & {});

/** What holds of a session now: what was decided, and what the clock says. */
export type SessionState = 'active' | 'expires-soon' | 'paused' | 'expired' | 'archived' | 'deleted';

/** A conversation of one agent. */
export interface Session {
  /** Names it. */
  id: string;
  /** What people call it. */
  name: string;
  /** Whose it is. */
  agentId: string;
  /** The agent's name when the session began. */
  agentName?: string;
  /** The agent's type when the session began. */
  agentType?: string;
  /** What was last decided about it; {@link SessionSummary.state} also looks at the clock. */
  status?: SessionStatus;
  /** When it began. */
  createdAt?: string;
  /** When it ends by itself. */
  expiresAt?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** On which branch. */
  gitBranch?: string;
  /** What a host keeps with it for itself. */
  metadata?: Metadata;
  [member: string]: unknown;
}

/** A session and what is known of it without reading its messages. */
export interface SessionSummary {
  session: Session;
  /** What holds now, by the clock. */
  state: SessionState;
  /** How many messages it has, with those it was restored with. */
  messages: number;
  /** When something last happened in it. */
  lastActiveAt: string;
  /** How often it was rewound, if it was. */
  rewinds?: number;
  /** The key that a host opens it by. */
  key?: string;
  /** To which namespace it belongs, unless that is the default one. */
  namespace?: string;
  /** The beginning of what the person first asked for. */
  preview?: string;
  /** The id of the session it was restored from. */
  restoredFrom?: string;
  /** When it was put into the trash. */
  deletedAt?: string;
}

/** What may be said of a session when it is created. */
export interface NewSession {
  /** Whose it is. Its id, name, type and `template` are taken over. */
  agent: Agent;
  /** What people call it; otherwise the agent's name and the time. */
  name?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** On which branch. */
  gitBranch?: string;
  /** What the agent may do. */
  capabilities?: string[];
  /** What the agent is told, where that is not what its template says. */
  systemPrompt?: string;
  /** What the host keeps with it for itself, at most 16 KiB as JSON. */
  metadata?: Metadata;
  /** How long it lasts; otherwise five hours. `null`: it never expires, also after it was resumed or restored. */
  lifetimeMs?: number | null;
}

/** What a host keeps with a session for itself; in a change, `null` removes a member. */
export interface Metadata {
  [member: string]: unknown;
}

/** A session that was opened by its key. */
export interface OpenedSession {
  /** The session. */
  session: Session;
  /** Whether it was created now. */
  created: boolean;
}

/** How much of a session's history a caller has seen. */
export interface Seen {
  /** How many messages. */
  length: number;
  /** How often the session had been rewound then: {@link SessionSummary.rewinds}. Without it, only the length is compared. */
  rewinds?: number;
}

/** Which sessions to list. */
export interface SessionFilter {
  /** Only sessions of this agent. */
  agent?: string;
  /** Only sessions of which this was last decided. */
  status?: SessionStatus;
  /** Only sessions last active before this time. */
  activeBefore?: string;
  /** Only sessions last active at this time or later. */
  activeSince?: string;
  /** Only sessions whose name contains this, in any case. Looks at every session that the rest lets through. */
  text?: string;
  /** Only sessions that have expired by now, or only those that have not. Looks at every session that the rest lets through. */
  expired?: boolean;
  /** Only sessions whose metadata has all these members with equal values. Looks at every session that the rest lets through. */
  metadata?: Metadata;
  /** The sessions in the trash instead of the others. */
  trash?: boolean;
}

/** A page of a list of sessions. */
export interface SummaryPage {
  /** The sessions, newest activity first; between two pages, to the minute. */
  items: SessionSummary[];
  /** Sessions of this page that are damaged or were written by a later version. */
  unreadable: UnreadableSession[];
  /** Where the next page begins; `null` if this is the last one. */
  next: string | null;
}

/** A session that cannot be read, and why. */
export interface UnreadableSession {
  /** Its id; `null` if it is its place in the list that cannot be read. */
  session: string | null;
  /** The code of the error. */
  code: ErrorCode;
  /** What is wrong. */
  message: string;
}

/** What may be changed of a session; what is left out stays. */
export interface SessionChanges {
  /** What people call it. */
  name?: string;
  /** What the agent is told, instead of what its template says. */
  systemPrompt?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** On which branch. */
  gitBranch?: string;
  /** What the agent may do. */
  capabilities?: string[];
}

/** What became of one of several sessions. */
export type SessionResult<T = Session> = { ok: T; error?: undefined } | { ok?: undefined; error: NofxError };

/** What a restored session takes over. Everything, unless something is said here. */
export interface RestoreOptions {
  /** The messages. */
  conversationHistory?: boolean;
  /** The task that was being worked on. */
  currentTask?: boolean;
  /** Where the agent worked. */
  workingDirectory?: boolean;
  /** Whether the conversation simply goes on; otherwise a message of the system says that it begins anew here. */
  continueFromLastMessage?: boolean;
  /** A summary, the system's messages and the newest 50 instead of all messages. Off unless it is asked for. */
  summarizeHistory?: boolean;
  /** Only the first so many messages. It rejects with {@link InvalidError} if there are fewer. */
  upTo?: number;
}
