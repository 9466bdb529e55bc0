/**
 * Lets a bounded number of calls into the addon at a time; the others wait their turn.
 *
 * A call inside the addon takes kilobytes of memory, a waiting one a few words.
 *
 * @internal
 */
export class CallLimit {
  readonly #limit: number;
  #inside = 0;
  #waiting: (() => void)[] = [];
  /** How many of `#waiting` have already entered. */
  #gone = 0;
  #idle: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Enters, now or when it is this caller's turn. Every caller that enters must leave. */
  enter(): Promise<void> | undefined {
    if (this.#inside < this.#limit) {
      this.#inside += 1;
      return undefined;
    }
    return new Promise((enter) => this.#waiting.push(enter));
  }

  leave(): void {
    // The slot is handed over, so that no caller overtakes.
    const next = this.#waiting[this.#gone];
    if (next) {
      this.#gone += 1;
      if (this.#gone === this.#waiting.length) {
        this.#waiting = [];
        this.#gone = 0;
      }
      next();
      return;
    }
    this.#inside -= 1;
    if (this.#inside === 0) {
      this.#idle.splice(0).forEach((tell) => tell());
    }
  }

  /** Waits until no call is inside. */
  async idle(): Promise<void> {
    if (this.#inside > 0) {
      await new Promise<void>((tell) => this.#idle.push(tell));
    }
  }
}
