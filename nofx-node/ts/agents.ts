/** Totals over an agent's sessions, except those in the trash. */
export interface AgentTotals {
  /** The number of sessions. */
  sessions: number;
  /** The number of messages; each is counted once, however often its session was restored. */
  messages: number;
  /** The number of completed tasks. */
  tasksCompleted: number;
  /** The number of tasks that failed with an error. */
  tasksFailed: number;
  /** The number of interrupted tasks. */
  tasksInterrupted: number;
  /** When one of the sessions was last active. */
  lastActiveAt: string | null;
}

/** A checkpoint: an exchange with an agent that was saved. */
export interface Checkpoint {
  /** When it was saved. */
  timestamp?: string;
  /** What the user said. */
  user?: string;
  /** What the agent answered. */
  agent?: string;
  /** Why it cannot be read, if so; `code` is then the code of the error, and there are no other members. */
  unreadable?: string;
  [member: string]: unknown;
}

/** A template for agents. */
export interface Template {
  /** Identifies it; its newest content is found by this id. */
  id?: string;
  /** Its display name. */
  name?: string;
  /** The prompt of the agent. */
  systemPrompt?: string;
  /** Why it cannot be read, if so; `code` is then the code of the error, and there are no other members. */
  unreadable?: string;
  [member: string]: unknown;
}
