import { Listing, type Page } from './pages';

/** A message between agents, the conductor and the dashboard. */
export interface OrchestrationMessage {
  /** Identifies it; may repeat. */
  id?: string;
  /** When it was sent, by its sender's clock. */
  timestamp?: string;
  /** Its type. */
  type?: string;
  /** The sender. */
  from?: string;
  /** The recipient. */
  to?: string;
  /** Its content. */
  payload?: unknown;
  /** The message that it belongs to. */
  correlationId?: string;
  /** Whether it asks for an acknowledgement. */
  requiresAck?: boolean;
  /** Why it cannot be read, if so; `code` is then the code of the error, and there are no other members. */
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
  /** Oldest first. Newest first by default. */
  oldestFirst?: boolean;
  /** How many to skip first. */
  offset?: number;
  /** How many to read at most; all by default. */
  limit?: number;
}

/** Messages per page. */
const PAGE = 256;

/** Where a page begins, and how many messages are still wanted from there on. */
interface At {
  after: string | null;
  left: number;
}

/** Lists the messages that a filter lets through. @internal */
export function orchestrationOf(
  read: (filter: object) => Promise<Page<OrchestrationMessage, string>>,
  { offset = 0, limit = Number.POSITIVE_INFINITY, ...filter }: OrchestrationFilter,
): Listing<OrchestrationMessage> {
  return Listing.of<OrchestrationMessage, At>({ after: null, left: limit }, async ({ after, left }) => {
    if (left <= 0) {
      return { items: [], next: null };
    }
    const skip = after === null ? { offset } : {};
    const { items, next } = await read({ ...filter, ...skip, after, limit: Math.min(left, PAGE) });
    const wanted = left - items.length;
    return { items, next: next === null || wanted <= 0 ? null : { after: next, left: wanted } };
  });
}

/** Statistics of the log of messages between agents. */
export interface OrchestrationStats {
  /** How many messages there are. */
  messages: number;
  /** The time of the oldest. */
  oldest: string | null;
  /** The time of the newest. */
  newest: string | null;
  /** The number of segments they are stored in. */
  segments: number;
}
