import type { ErrorCode, NofxError } from './errors';

/**
 * An agent.
 *
 * As in all entities, times are texts in the format of `toISOString`, whatever wrote them, and positions and counts are numbers: they stay far
 * below 2^53. Members that this version does not know are kept and returned unchanged.
 */
export interface Agent {
  /** Identifies it. */
  id: string;
  /** Its display name. */
  name: string;
  /** Its role, such as `frontend-specialist`. */
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

/** Changes of an agent: any member except its `id`; `null` removes one. */
export interface AgentChanges {
  id?: undefined;
  /** Its display name. */
  name?: string;
  /** Its role, such as `frontend-specialist`. */
  type?: string;
  [member: string]: unknown;
}

/** The role of a message's author. */
export type Role = 'user' | 'assistant' | 'system' | 'tool' | (string & {});

/** A message to be added. */
export interface NewMessage {
  /** Its author's role. */
  type: Role;
  /** Its text. */
  content: string;
  /** Identifies it; generated if it is missing. */
  id?: string;
  /** When it was said; defaults to now. */
  timestamp?: string;
  /** Other data: the task, files, commands, errors. */
  metadata?: { [member: string]: unknown };
  [member: string]: unknown;
}

/** A message of a conversation. If an old version wrote it, members may be missing. */
export interface Message {
  /** Identifies it; may repeat. */
  id?: string;
  /** When it was said. */
  timestamp?: string;
  /** Its author's role. */
  type?: Role;
  /** Its content, if that is text. */
  content?: string;
  /** Other data: the task, files, commands, errors. */
  metadata?: { [member: string]: unknown };
  [member: string]: unknown;
}

/** A message and its position in its session's history. */
export interface HistoryEntry {
  /** Its position, dense from zero, counting the messages that the session was restored with. */
  position: number;
  /** When it was written, by the writer's clock; not necessarily increasing. Empty if the message and its time cannot be read. */
  at: string;
  /** Which open workspace wrote it: every `open` has its own name. */
  writer?: string;
  /** The message. */
  message: Message;
  /** Why the message cannot be read, if so; it is then empty. Other messages are not affected. */
  unreadable?: string;
  /** The code of the error, if the message cannot be read. */
  code?: ErrorCode;
}

/** The stored status of a session. */
export type SessionStatus = 'active' | 'paused' | 'expired' | 'archived' | (string & {});

/** The effective state of a session now: its stored status and what the clock says. */
export type SessionState = 'active' | 'expires-soon' | 'paused' | 'expired' | 'archived' | 'deleted';

/** A conversation of one agent. */
export interface Session {
  /** Identifies it. */
  id: string;
  /** Its display name. */
  name: string;
  /** Its agent. */
  agentId: string;
  /** The agent's name when the session began. */
  agentName?: string;
  /** The agent's type when the session began. */
  agentType?: string;
  /** Its stored status; {@link SessionSummary.state} also considers the clock. */
  status?: SessionStatus;
  /** When it was created. */
  createdAt?: string;
  /** When it expires. */
  expiresAt?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** The git branch it works on. */
  gitBranch?: string;
  /** The host's own data. */
  metadata?: Metadata;
  [member: string]: unknown;
}

/** A session and what is known about it without reading its messages. */
export interface SessionSummary {
  session: Session;
  /** Its state now, by the clock. */
  state: SessionState;
  /** How many messages it has, including those it was restored with. */
  messages: number;
  /** When it was last active. */
  lastActiveAt: string;
  /** How often it was rewound, if ever. */
  rewinds?: number;
  /** The key under which a host opens it. */
  key?: string;
  /** The namespace it belongs to, unless that is the default one. */
  namespace?: string;
  /** The beginning of the user's first request. */
  preview?: string;
  /** The id of the session it was restored from. */
  restoredFrom?: string;
  /** When it was moved to the trash. */
  deletedAt?: string;
}

/** What can be set on a new session. */
export interface NewSession {
  /** Its agent. Id, name, type and `template` are copied from it. */
  agent: Agent;
  /** Its display name; defaults to the agent's name and the time. */
  name?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** The git branch it works on. */
  gitBranch?: string;
  /** What the agent may do. */
  capabilities?: string[];
  /** The agent's prompt, if it differs from the template's. */
  systemPrompt?: string;
  /** The host's own data, at most 16 KiB as JSON. */
  metadata?: Metadata;
  /** How long it lasts; five hours by default. `null`: it never expires, not even after it was resumed or restored. */
  lifetimeMs?: number | null;
}

/** A host's own data on a session; in a change, `null` removes a member. */
export interface Metadata {
  [member: string]: unknown;
}

/** A session that was opened by its key. */
export interface OpenedSession {
  /** The session. */
  session: Session;
  /** Whether this call created it. */
  created: boolean;
}

/** How much of a session's history a caller has seen. */
export interface Seen {
  /** The number of messages. */
  length: number;
  /** How often the session had been rewound at that time: {@link SessionSummary.rewinds}. Without it, only the length is compared. */
  rewinds?: number;
}

/** Which sessions to list. */
export interface SessionFilter {
  /** Only sessions of this agent. */
  agent?: string;
  /** Only sessions with this stored status. */
  status?: SessionStatus;
  /** Only sessions last active before this time. */
  activeBefore?: string;
  /** Only sessions last active at this time or later. */
  activeSince?: string;
  /** Only sessions whose name contains this, ignoring case. Reads every session that the other filters let through. */
  text?: string;
  /** Only sessions that have expired by now, or only those that have not. Reads every session that the other filters let through. */
  expired?: boolean;
  /** Only sessions whose metadata has all these members with equal values. Reads every session that the other filters let through. */
  metadata?: Metadata;
  /** The sessions in the trash instead of the others. */
  trash?: boolean;
}

/** A page of a list of sessions. */
export interface SummaryPage {
  /** The sessions, most recently active first; across pages, to the minute. */
  items: SessionSummary[];
  /** Sessions of this page that are damaged or were written by a later version. */
  unreadable: UnreadableSession[];
  /** Where the next page begins; `null` if this is the last one. */
  next: string | null;
}

/** A session that cannot be read, and why. */
export interface UnreadableSession {
  /** Its id; `null` if its entry in the list cannot be read. */
  session: string | null;
  /** The code of the error. */
  code: ErrorCode;
  /** What is wrong. */
  message: string;
}

/** Changes of a session; omitted members stay unchanged. */
export interface SessionChanges {
  /** Its display name. */
  name?: string;
  /** The agent's prompt, instead of the template's. */
  systemPrompt?: string;
  /** Where the agent works. */
  workingDirectory?: string;
  /** The git branch it works on. */
  gitBranch?: string;
  /** What the agent may do. */
  capabilities?: string[];
}

/** The result for one of several sessions. */
export type SessionResult<T = Session> = { ok: T; error?: undefined } | { ok?: undefined; error: NofxError };

/** What a restored session takes over. Everything by default. */
export interface RestoreOptions {
  /** The messages. */
  conversationHistory?: boolean;
  /** The current task. */
  currentTask?: boolean;
  /** The working directory. */
  workingDirectory?: boolean;
  /** Whether the conversation simply continues; otherwise a system message marks where the restored session starts. */
  continueFromLastMessage?: boolean;
  /** A summary, the system messages and the newest 50 messages instead of all messages. Off by default. */
  summarizeHistory?: boolean;
  /** Only this many of the first messages. Rejects with {@link InvalidError} if there are fewer. */
  upTo?: number;
}
