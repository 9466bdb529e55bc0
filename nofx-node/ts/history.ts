import type { HistoryEntry } from './entities';
import { ahead, Each } from './pages';

/** Which messages of a session to read. */
export interface HistoryOptions {
  /** The newest first. Otherwise the oldest. */
  newestFirst?: boolean;
  /** The first position to read; otherwise 0. */
  from?: number;
  /** The position behind the last one to read; otherwise the end. */
  to?: number;
  /** Messages of one page; otherwise 256. A page also ends at about 4 MB. */
  pageSize?: number;
}

/** A page of messages, as the addon answers it. @internal */
export interface HistoryPage {
  items: HistoryEntry[];
  /** Where the next page begins, or in the other direction ends. */
  next: number | null;
}

/**
 * The messages of a session, read a page at a time and only as they are asked for.
 *
 * ```ts
 * for await (const { message } of workspace.history(id, { newestFirst: true })) {
 *   if (message.type === 'user') return message.content; // one page was read
 * }
 * ```
 *
 * Nothing is held between two pages: an iterator that is forgotten costs nobody anything, and one that is resumed tomorrow goes on.
 */
export class History implements AsyncIterable<HistoryEntry> {
  readonly #read: (options: HistoryOptions) => Promise<HistoryPage>;
  readonly #options: HistoryOptions;

  /** @internal */
  constructor(read: (options: HistoryOptions) => Promise<HistoryPage>, options: HistoryOptions) {
    this.#read = read;
    this.#options = options;
  }

  /** Returns the messages page by page. */
  pages(): AsyncGenerator<HistoryEntry[], void, void> {
    return ahead(async (options) => {
      const { items, next } = await this.#read(options);
      return { items, next: next === null ? null : this.#after(next) };
    }, this.#options);
  }

  /** Returns all of them. Of a long history that is a lot. */
  async all(): Promise<HistoryEntry[]> {
    const pages: HistoryEntry[][] = [];
    for await (const page of this.pages()) {
      pages.push(page);
    }
    return pages.flat();
  }

  [Symbol.asyncIterator](): AsyncIterator<HistoryEntry, void, void> {
    return new Each(this.pages());
  }

  #after(next: number): HistoryOptions {
    return this.#options.newestFirst ? { ...this.#options, to: next } : { ...this.#options, from: next };
  }
}
