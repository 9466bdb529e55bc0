/**
 * Runs calls about one thing in the order in which they were made, whether or not their callers await them.
 *
 * Calls about different things run concurrently. A call that fails is its own caller's concern: later ones go on.
 *
 * @internal
 */
export class Order {
  /** The end of the last call about each thing, while there is one. Never rejects. */
  readonly #last = new Map<string, Promise<void>>();
  #waiting = 0;

  /** Runs a call once every earlier call about the same thing has ended. */
  run<T>(thing: string, call: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing);
    const running = before === undefined ? call() : this.#behind(before, call);
    const ended: Promise<void> = running.then(noted, noted).then(() => {
      if (this.#last.get(thing) === ended) {
        this.#last.delete(thing);
      }
    });
    this.#last.set(thing, ended);
    return running;
  }

  /** Runs a call that only reads once every earlier change of that thing has ended. Later calls do not wait for it. */
  read<T>(thing: string, call: () => Promise<T>): Promise<T> {
    const before = this.#last.get(thing);
    return before === undefined ? call() : this.#behind(before, call);
  }

  /** Runs a call that only reads once every earlier change of all things of a kind has ended. */
  readAll<T>(kind: string, call: () => Promise<T>): Promise<T> {
    const before = [...this.#last].filter(([thing]) => thing.startsWith(kind)).map(([, ended]) => ended);
    return before.length === 0 ? call() : this.#behind(Promise.all(before), call);
  }

  /** Waits until no call waits for another and none that changes something is under way. */
  async idle(): Promise<void> {
    while (this.#last.size > 0 || this.#waiting > 0) {
      await Promise.all(this.#last.values());
      // A read that waited has only been told that it may begin.
      await Promise.resolve();
    }
  }

  async #behind<T>(before: Promise<unknown>, call: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    await before;
    this.#waiting -= 1;
    return call();
  }
}

function noted(): void {
  // How a call ended is told to its caller.
}
