/** What an agent's sessions add up to, without those in the trash. */
export interface AgentTotals {
  /** How many sessions. */
  sessions: number;
  /** How many messages, each once however often its session was restored. */
  messages: number;
  /** How many tasks were done. */
  tasksCompleted: number;
  /** How many tasks were given up with an error. */
  tasksFailed: number;
  /** How many tasks were put aside. */
  tasksInterrupted: number;
  /** When something last happened in one of them. */
  lastActiveAt: string | null;
}

/** An exchange with an agent that was kept. */
export interface Checkpoint {
  /** When. */
  timestamp?: string;
  /** What the person said. */
  user?: string;
  /** What the agent answered. */
  agent?: string;
  /** Why it cannot be read, if so; `code` is then the code of the error, and it has no other members. */
  unreadable?: string;
  [member: string]: unknown;
}

/** What an agent is made from. */
export interface Template {
  /** Names it; its newest content is found by it. */
  id?: string;
  /** What people call it. */
  name?: string;
  /** What the agent is told. */
  systemPrompt?: string;
  /** Why it cannot be read, if so; `code` is then the code of the error, and it has no other members. */
  unreadable?: string;
  [member: string]: unknown;
}
