/** What a call is about. @internal */
export type Kind = 'session' | 'agent' | 'orchestration' | 'records';

/** Which things of a kind: one, some, or all. @internal */
export type Which = string | readonly string[] | undefined;

/**
 * Runs calls about one thing in the order in which they were made, whether or not their callers await them.
 *
 * Calls about different things run concurrently. A failed call affects only its own caller: later calls run.
 *
 * @internal
 */
export class Order {
  /** The end of the last change of each thing, while there is one. Never rejects. */
  readonly #last = new Map<string, Promise<void>>();
  #waiting = 0;

  /** Runs a call that changes things once every earlier change of any of them has ended. */
  run<T>(kind: Kind, which: Which, call: () => Promise<T>): Promise<T> {
    const running = this.read(kind, which, call);
    const names = namesOf(kind, which);
    const ended: Promise<void> = running.then(noted, noted).then(() => {
      for (const name of names) {
        if (this.#last.get(name) === ended) {
          this.#last.delete(name);
        }
      }
    });
    names.forEach((name) => this.#last.set(name, ended));
    return running;
  }

  /** Runs a call that only reads, once every earlier change of what it reads has ended. Later calls do not wait for it. */
  read<T>(kind: Kind, which: Which, call: () => Promise<T>): Promise<T> {
    const before = this.#before(kind, which);
    return before.length === 0 ? call() : this.#behind(before, call);
  }

  /** Waits until no call is waiting for another and no change is in flight. */
  async idle(): Promise<void> {
    while (this.#last.size > 0 || this.#waiting > 0) {
      await Promise.all(this.#last.values());
      // A read that has waited has only just been allowed to begin.
      await Promise.resolve();
    }
  }

  #before(kind: Kind, which: Which): Promise<void>[] {
    if (this.#last.size === 0) {
      return [];
    }
    const all = nameOf(kind, undefined);
    if (which === undefined) {
      return [...this.#last].filter(([name]) => name.startsWith(all)).map(([, ended]) => ended);
    }
    const before = [all, ...namesOf(kind, which)].map((name) => this.#last.get(name));
    return before.filter((ended) => ended !== undefined);
  }

  async #behind<T>(before: Promise<void>[], call: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    await Promise.all(before);
    this.#waiting -= 1;
    return call();
  }
}

function namesOf(kind: Kind, which: Which): string[] {
  return Array.isArray(which) ? which.map((id: string) => nameOf(kind, id)) : [nameOf(kind, which as string | undefined)];
}

/** Names a thing so that the name of all things of its kind is a prefix. */
function nameOf(kind: Kind, id: string | undefined): string {
  return id === undefined ? `${kind}:` : `${kind}: ${id}`;
}

function noted(): void {
  // The call's own promise reports how it ended.
}
