import { Listing, type Page } from './pages';

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
  /** How many to read at most; otherwise all. */
  limit?: number;
}

/** How many messages of a page. */
const PAGE = 256;

/** Where a page begins, and how many are still wanted from there on. */
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
