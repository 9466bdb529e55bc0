import type { HistoryEntry } from './entities';

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
  async *pages(): AsyncGenerator<HistoryEntry[], void, void> {
    let page = await this.#read(this.#options);
    let first = true;
    while (page.items.length > 0) {
      const following = page.next === null ? undefined : this.#after(page.next);
      // Who asks for a second page reads on, so a third one is fetched while the second is looked at.
      const ahead = first || following === undefined ? undefined : this.#read(following);
      // A failure is told when its page is asked for, which may be never.
      ahead?.catch(() => undefined);
      yield page.items;
      if (following === undefined) {
        return;
      }
      page = await (ahead ?? this.#read(following));
      first = false;
    }
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
    return new Entries(this.pages());
  }

  #after(next: number): HistoryOptions {
    return this.#options.newestFirst ? { ...this.#options, to: next } : { ...this.#options, from: next };
  }
}

/** Hands out the entries of pages. By hand, because a generator costs three times as much per entry. */
class Entries implements AsyncIterator<HistoryEntry, void, void> {
  readonly #pages: AsyncGenerator<HistoryEntry[], void, void>;
  #page: HistoryEntry[] = [];
  #at = 0;

  constructor(pages: AsyncGenerator<HistoryEntry[], void, void>) {
    this.#pages = pages;
  }

  async next(): Promise<IteratorResult<HistoryEntry, void>> {
    while (true) {
      const value = this.#page[this.#at];
      if (value !== undefined) {
        this.#at += 1;
        return { done: false, value };
      }
      const page = await this.#pages.next();
      if (page.done) {
        return { done: true, value: undefined };
      }
      this.#page = page.value;
      this.#at = 0;
    }
  }

  async return(): Promise<IteratorResult<HistoryEntry, void>> {
    this.#page = [];
    await this.#pages.return();
    return { done: true, value: undefined };
  }
}
