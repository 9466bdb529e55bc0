/** A page of something, and where the next one begins. @internal */
export interface Page<T, C> {
  items: T[];
  next: C | null;
}

/**
 * What is listed, read a page at a time and only as it is asked for.
 *
 * ```ts
 * for await (const { message } of workspace.history(id, { newestFirst: true })) {
 *   if (message.type === 'user') return message.content; // one page was read
 * }
 * ```
 *
 * Who asks for a second page reads on, so the next one is fetched while that is looked at. Nothing is held between two pages: an iterator
 * that is forgotten costs nothing, and one that is resumed tomorrow goes on.
 */
export class Listing<T> implements AsyncIterable<T> {
  readonly #pages: (all: boolean) => AsyncGenerator<T[], void, void>;

  /** @internal */
  constructor(pages: (all: boolean) => AsyncGenerator<T[], void, void>) {
    this.#pages = pages;
  }

  /** Lists what is on pages, of which each says where the next one begins. @internal */
  static of<T, C>(start: C, read: (at: C) => Promise<Page<T, C>>): Listing<T> {
    return new Listing((all) => ahead(read, start, all));
  }

  /** Returns it page by page. */
  pages(): AsyncGenerator<T[], void, void> {
    return this.#pages(false);
  }

  /** Returns all of it. Of a long list that is a lot. */
  async all(): Promise<T[]> {
    const items: T[] = [];
    for await (const page of this.#pages(true)) {
      // One by one: `flat` takes twenty times as long, and a call takes no page of any length as its arguments.
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
 * Returns pages, each read when it is asked for. Who asks for a second one reads on, so a third is fetched while the second is
 * looked at; who wants all has the second one fetched while the first is looked at.
 */
async function* ahead<T, C>(read: (at: C) => Promise<Page<T, C>>, start: C, all: boolean): AsyncGenerator<T[], void, void> {
  let page = await read(start);
  let first = !all;
  while (true) {
    const next = page.next;
    const following = first || next === null ? undefined : read(next);
    // A failure is told when its page is asked for, which may be never.
    following?.catch(() => undefined);
    if (page.items.length > 0) {
      yield page.items;
    }
    if (next === null) {
      return;
    }
    page = await (following ?? read(next));
    first = false;
  }
}

/** Hands out what is on pages. By hand, because a generator costs three times as much for each. */
class Each<T> implements AsyncIterableIterator<T, void, void> {
  readonly #pages: AsyncGenerator<T[], void, void>;
  #page: T[] = [];
  #at = 0;

  constructor(pages: AsyncGenerator<T[], void, void>) {
    this.#pages = pages;
  }

  async next(): Promise<IteratorResult<T, void>> {
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

  async return(): Promise<IteratorResult<T, void>> {
    this.#page = [];
    await this.#pages.return();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
