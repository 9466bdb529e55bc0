import type { HistoryEntry } from './entities';
import { Listing } from './pages';

/** Which messages of a session to read. */
export interface HistoryOptions {
  /** Newest first. Oldest first by default. */
  newestFirst?: boolean;
  /** The first position to read; 0 by default. */
  from?: number;
  /** The position after the last one to read; the end by default. */
  to?: number;
  /** Only messages that were written at this time or later. Reads every message, as clocks may have gone back. */
  since?: string;
  /** Messages per page; by default 256 on the first page and 1,000 on the others. A page also ends at about 4 MB. */
  pageSize?: number;
}

/** Consecutive messages of one writer, which share what is the same. */
interface Run {
  messages: HistoryEntry['message'][];
  /** The position of the first, and the step to each of the others. */
  position: number;
  step: number;
  writer?: string;
  /** Their times, each of 24 characters. */
  at: string;
}

const TIME_LENGTH = 24;

/** A page of messages as the addon answers it: texts, each an array of runs and of entries. @internal */
export class HistoryPage {
  /** Where the next page begins or, newest first, ends. */
  readonly next: number | null;
  readonly #texts: string[];

  constructor(texts: string[]) {
    this.next = JSON.parse(texts.pop() ?? 'null') as number | null;
    this.#texts = texts;
  }

  /** Returns the entries. */
  parse(): HistoryEntry[] {
    const entries: HistoryEntry[] = [];
    for (const text of this.#texts) {
      for (const part of JSON.parse(text) as (Run | HistoryEntry)[]) {
        if ('messages' in part) {
          addRun(part, entries);
        } else {
          entries.push(part);
        }
      }
    }
    return entries;
  }
}

function addRun({ messages, position: first, step, writer, at: times }: Run, entries: HistoryEntry[]): void {
  let [position, from] = [first, 0];
  for (const message of messages) {
    const at = times.substring(from, from + TIME_LENGTH);
    entries.push(writer === undefined ? { position, at, message } : { position, at, writer, message });
    position += step;
    from += TIME_LENGTH;
  }
}

/** Messages per page after the first, if the caller did not say: a caller that asks for a second page is likely to read all. */
const LATER_PAGE = 1000;

/** Lists the messages of a session. @internal */
export function historyOf(
  read: (options: HistoryOptions) => Promise<HistoryPage>,
  options: HistoryOptions,
): Listing<HistoryEntry> {
  return Listing.of(options, async (at) => {
    const page = await read(at);
    const rest = { pageSize: LATER_PAGE, ...options, [options.newestFirst ? 'to' : 'from']: page.next };
    return { parse: () => page.parse(), next: page.next === null ? null : rest };
  });
}
