/**
 * Gives calls the order that the old services had: what starts later sees what started earlier, awaited or not.
 *
 * The workspace orders the calls on one session or agent. This orders calls about many of them, or in several steps.
 *
 * @internal
 */
export class Turns {
  readonly #running = new Set<Promise<unknown>>();
  /** The end of the last call that had to run alone. */
  #alone: Promise<unknown> = Promise.resolve();
  /** The end of the last call in each line. */
  readonly #lines = new Map<string, Promise<unknown>>();

  /** Runs a call that changes something, concurrently with others. */
  beside<T>(call: () => Promise<T>): Promise<T> {
    return this.#noted(this.#alone.then(call));
  }

  /** Runs a call that changes something in several steps, after the earlier ones of its line. */
  inLine<T>(line: string, call: () => Promise<T>): Promise<T> {
    const before = Promise.all([this.#alone, this.#lines.get(line)]);
    const running = this.#noted(before.then(call));
    this.#lines.set(line, running.catch(() => undefined));
    return running;
  }

  /** Runs a call that only reads, after all changes that started earlier. */
  behind<T>(call: () => Promise<T>): Promise<T> {
    return this.idle().then(call);
  }

  /** Runs a call after all that started earlier, and before all that start later. */
  alone<T>(call: () => Promise<T>): Promise<T> {
    const running = this.#noted(this.idle().then(call));
    this.#alone = running.catch(() => undefined);
    return running;
  }

  /** Waits for the changes that have started so far. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }

  #noted<T>(running: Promise<T>): Promise<T> {
    this.#running.add(running);
    const ended = () => this.#running.delete(running);
    running.then(ended, ended);
    return running;
  }
}
