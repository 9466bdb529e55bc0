/** A message between agents, the conductor and the dashboard. */
export interface OrchestrationMessage {
  /** Names it; may repeat. */
  id?: string;
  /** When it was sent, by its sender's clock. */
  timestamp?: string;
  /** What it is. */
  type?: string;
  /** Who sent it. */
  from?: string;
  /** Who is to have it. */
  to?: string;
  /** What it says. */
  payload?: unknown;
  /** Which message it belongs to. */
  correlationId?: string;
  /** Whether it asks for an answer. */
  requiresAck?: boolean;
  /** Why it cannot be read, if so; `code` is then the code of the error, and it has no other members. */
  unreadable?: string;
  [member: string]: unknown;
}

/** Which messages between agents to read. */
export interface OrchestrationFilter {
  /** Only messages from or to this participant. */
  participant?: string;
  /** Only messages of this type. */
  type?: string;
  /** Only messages of this time or later, by their sender's clock. */
  since?: string;
  /** Only messages before this time. */
  until?: string;
  /** The oldest first. Otherwise the newest. */
  oldestFirst?: boolean;
  /** How many to leave out first. */
  offset?: number;
  /** How many to read at most; otherwise 1,000. */
  limit?: number;
}

/** What is known of the log of messages between agents. */
export interface OrchestrationStats {
  /** How many messages there are. */
  messages: number;
  /** The time of the oldest. */
  oldest: string | null;
  /** The time of the newest. */
  newest: string | null;
  /** In how many segments they are. */
  segments: number;
}
