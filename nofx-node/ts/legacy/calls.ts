import { ClosedError, type Workspace } from '../index';
import type { Told } from './host';
import type { SharedStore, User } from './shared';

/** The longest time that disposing of a service takes. */
const DISPOSE_WAIT_MS = 2600;

type Call<T> = (workspace: Workspace) => Promise<T>;

/**
 * The calls of one service: kept in order, logged when they fail, and waited for when the service is disposed.
 *
 * After disposal, a call is logged and does nothing.
 *
 * @internal
 */
export class Calls {
  readonly #store: SharedStore;
  readonly #told: Told;
  readonly #user: User;
  readonly #pending = new Set<Promise<unknown>>();
  #disposing: Promise<void> | undefined;

  constructor(store: SharedStore, told: Told, user: User) {
    this.#store = store;
    this.#told = told;
    this.#user = user;
  }

  /** Changes something. Answers `late` after disposal. */
  change<T>(verb: string, late: T, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.resolve(late) : this.#beside(verb, call);
  }

  /** Changes something, and must answer. */
  answer<T>(verb: string, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.reject(new ClosedError()) : this.#beside(verb, call);
  }

  /** Changes the list of agents, after earlier changes of it. */
  changeAgents(verb: string, call: Call<void>): Promise<void> {
    if (this.isLate(verb)) {
      return Promise.resolve();
    }
    return this.#begun(verb, this.#store.turns.inLine('agents', () => this.#store.with(call)));
  }

  /** Changes many things, after all calls before it and before all calls after it. */
  changeAll(verb: string, call: Call<void>): Promise<void> {
    if (this.isLate(verb)) {
      return Promise.resolve();
    }
    return this.#begun(verb, this.#store.turns.alone(() => this.#store.with(call)));
  }

  /** Reads something, and answers `empty` if it cannot be read. */
  read<T>(verb: string, empty: T, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.resolve(empty) : this.#behind(verb, call).catch(() => empty);
  }

  /** Reads something that must not be reported as empty because it cannot be read. */
  readSurely<T>(verb: string, late: T, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.resolve(late) : this.#behind(verb, call);
  }

  /** Reads something, and must answer. */
  ask<T>(verb: string, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.reject(new ClosedError()) : this.#behind(verb, call);
  }

  /** Returns whether the service was disposed before this call, and logs it. */
  isLate(verb: string): boolean {
    if (this.#disposing !== undefined) {
      this.#told.warn(`${verb} was called after disposal`);
    }
    return this.#disposing !== undefined;
  }

  /** Waits for the calls in flight, at most three seconds, and leaves the store. */
  dispose(): Promise<void> {
    this.#disposing ??= withinTime(this.#leave(), DISPOSE_WAIT_MS);
    return this.#disposing;
  }

  async #leave(): Promise<void> {
    try {
      await this.#store.leave(this.#user, [...this.#pending]);
    } catch (error) {
      this.#told.warn('The store could not be closed cleanly', error);
    }
  }

  #beside<T>(verb: string, call: Call<T>): Promise<T> {
    return this.#begun(verb, this.#store.turns.beside(() => this.#store.with(call)));
  }

  #behind<T>(verb: string, call: Call<T>): Promise<T> {
    return this.#begun(verb, this.#store.turns.behind(() => this.#store.with(call)));
  }

  /** Records a call in flight, for disposal. */
  #begun<T>(verb: string, call: Promise<T>): Promise<T> {
    const told = call.catch((error: unknown) => {
      this.#told.error(`${verb} failed`, error);
      throw error;
    });
    this.#pending.add(told);
    const ended = () => this.#pending.delete(told);
    told.then(ended, ended);
    return told;
  }
}

/** Waits for something, but at most this many milliseconds. @internal */
export async function withinTime<T>(waited: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), milliseconds)));
  try {
    return await Promise.race([waited, patience]);
  } finally {
    clearTimeout(timer);
  }
}
