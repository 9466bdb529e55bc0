/**
 * Lets a bounded number of calls into the addon at once; the others wait their turn.
 *
 * A call inside the addon costs kilobytes, one that waits here some words.
 *
 * @internal
 */
export class Gate {
  readonly #limit: number;
  #inside = 0;
  #waiting: (() => void)[] = [];
  /** How many of `#waiting` have gone in already. */
  #gone = 0;
  #idle: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Goes in, now or when it is this caller's turn. Whoever goes in leaves. */
  enter(): Promise<void> | undefined {
    if (this.#inside < this.#limit) {
      this.#inside += 1;
      return undefined;
    }
    return new Promise((enter) => this.#waiting.push(enter));
  }

  leave(): void {
    // The place is handed over, so nobody overtakes.
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

  /** Waits until nobody is inside. */
  async idle(): Promise<void> {
    if (this.#inside > 0) {
      await new Promise<void>((tell) => this.#idle.push(tell));
    }
  }
}
