import type { HistoryEntry } from './entities';
import { Listing } from './pages';

/** Which messages of a session to read. */
export interface HistoryOptions {
  /** The newest first. Otherwise the oldest. */
  newestFirst?: boolean;
  /** The first position to read; otherwise 0. */
  from?: number;
  /** The position behind the last one to read; otherwise the end. */
  to?: number;
  /** Only messages that were written at this time or later. Looks at every message: clocks may have gone back. */
  since?: string;
  /** Messages of one page; otherwise 256 of the first and 1,000 of the others. A page also ends at about 4 MB. */
  pageSize?: number;
}

/** A page of messages. @internal */
export interface HistoryPage {
  items: HistoryEntry[];
  /** Where the next page begins, or in the other direction ends. */
  next: number | null;
}

/** Messages of a page behind the first, where the caller did not say: a caller who asks for a second page is likely to read all. */
const LATER_PAGE = 1000;

/** Reads a page as the addon answers it. @internal */
export function historyPage(texts: string[]): HistoryPage {
  const next = JSON.parse(texts.pop() ?? 'null') as number | null;
  const items: HistoryEntry[] = [];
  for (const text of texts) {
    items.push(...(JSON.parse(text) as HistoryEntry[]));
  }
  return { items, next };
}

/** Lists the messages of a session. @internal */
export function historyOf(
  read: (options: HistoryOptions) => Promise<HistoryPage>,
  options: HistoryOptions,
): Listing<HistoryEntry> {
  return Listing.of(options, async (at) => {
    const { items, next } = await read(at);
    const rest = { pageSize: LATER_PAGE, ...options, [options.newestFirst ? 'to' : 'from']: next };
    return { items, next: next === null ? null : rest };
  });
}
