/** A page of items, and where the next page begins. @internal */
export interface Page<T, C> {
  items: T[];
  next: C | null;
}

/** A page whose items are still text, so that they are parsed while the next page is read. @internal */
export interface UnparsedPage<T, C> {
  parse(): T[];
  next: C | null;
}

/** Reads a page from where it begins. */
type ReadPage<T, C> = (at: C) => Promise<Page<T, C> | UnparsedPage<T, C>>;

/**
 * A list that is read a page at a time, on demand.
 *
 * ```ts
 * for await (const { message } of workspace.history(id, { newestFirst: true })) {
 *   if (message.type === 'user') return message.content; // one page was read
 * }
 * ```
 *
 * A caller that asks for a second page is likely to read on, so the next page is prefetched. Nothing is held between two pages: an abandoned
 * iterator costs nothing, and one that is resumed tomorrow continues.
 */
export class Listing<T> implements AsyncIterable<T> {
  readonly #pages: (all: boolean) => AsyncGenerator<T[], void, void>;

  /** @internal */
  constructor(pages: (all: boolean) => AsyncGenerator<T[], void, void>) {
    this.#pages = pages;
  }

  /** Lists items from pages, each of which says where the next one begins. @internal */
  static of<T, C>(start: C, read: ReadPage<T, C>): Listing<T> {
    return new Listing((all) => ahead(read, start, all));
  }

  /** Returns the list page by page. */
  pages(): AsyncGenerator<T[], void, void> {
    return this.#pages(false);
  }

  /** Returns the whole list. For a long list that is a lot. */
  async all(): Promise<T[]> {
    const items: T[] = [];
    for await (const page of this.#pages(true)) {
      // One by one: `flat` takes twenty times as long, and a call cannot take a page of any length as arguments.
      for (const item of page) {
        items.push(item);
      }
    }
    return items;
  }

  [Symbol.asyncIterator](): AsyncIterator<T, void, void> {
    return new Each(this.pages());
  }
}

/**
 * Returns pages, each read on demand. A caller that asks for a second page is likely to read on, so the third is prefetched while the second
 * is in use; a caller that wants all pages gets the second prefetched while the first is in use.
 */
async function* ahead<T, C>(read: ReadPage<T, C>, start: C, all: boolean): AsyncGenerator<T[], void, void> {
  let page = await read(start);
  let first = !all;
  while (true) {
    const next = page.next;
    const following = first || next === null ? undefined : read(next);
    // A failure is reported when its page is asked for, which may never happen.
    following?.catch(() => undefined);
    const items = 'parse' in page ? page.parse() : page.items;
    if (items.length > 0) {
      yield items;
    }
    if (next === null) {
      return;
    }
    page = await (following ?? read(next));
    first = false;
  }
}

/** Yields the items of pages. Written by hand, because a generator takes three times as long per item. */
class Each<T> implements AsyncIterableIterator<T, void, void> {
  readonly #pages: AsyncGenerator<T[], void, void>;
  #page: T[] = [];
  #at = 0;
  #turning: Promise<IteratorResult<T[], void>> | undefined;

  constructor(pages: AsyncGenerator<T[], void, void>) {
    this.#pages = pages;
  }

  // Not async, which would take three more turns of the microtask queue per item.
  next(): Promise<IteratorResult<T, void>> {
    const value = this.#page[this.#at];
    if (value === undefined) {
      return this.#onNextPage();
    }
    this.#at += 1;
    return Promise.resolve({ done: false, value });
  }

  async #onNextPage(): Promise<IteratorResult<T, void>> {
    // Callers that do not wait for each other's item share a page.
    const turning = (this.#turning ??= this.#pages.next());
    try {
      const page = await turning;
      if (this.#turning === turning) {
        this.#page = page.value ?? [];
        this.#at = 0;
      }
      if (page.done) {
        return { done: true, value: undefined };
      }
    } finally {
      if (this.#turning === turning) {
        this.#turning = undefined;
      }
    }
    return this.next();
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.#page = [];
    await this.#pages.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
