/** A page of something, and where the next one begins. @internal */
export interface Page<T, C> {
  items: T[];
  next: C | null;
}

/**
 * Returns pages, each read when it is asked for. Who asks for a second one reads on, so a third is fetched while the second is
 * looked at. @internal
 */
export async function* ahead<T, C>(read: (at: C) => Promise<Page<T, C>>, start: C): AsyncGenerator<T[], void, void> {
  let page = await read(start);
  let first = true;
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

/** Hands out what is on pages. By hand, because a generator costs three times as much for each. @internal */
export class Each<T> implements AsyncIterableIterator<T, void, void> {
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
