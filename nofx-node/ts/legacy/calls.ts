import { ClosedError, type Workspace } from '../index';
import type { Told } from './host';
import type { SharedStore, User } from './shared';

/** How long disposing of a service takes at most. */
const DISPOSE_WAIT_MS = 2600;

type Call<T> = (workspace: Workspace) => Promise<T>;

/**
 * The calls of one service: in their order, told when they fail, and waited for when the service is disposed of.
 *
 * Once it is disposed of, a call is told to the log and does nothing.
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

  /** Changes something. Answers `late` once it is too late. */
  change<T>(verb: string, late: T, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.resolve(late) : this.#beside(verb, call);
  }

  /** Changes something that must be answered. */
  answer<T>(verb: string, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.reject(new ClosedError()) : this.#beside(verb, call);
  }

  /** Changes the list of agents, behind earlier changes of it. */
  changeAgents(verb: string, call: Call<void>): Promise<void> {
    if (this.isLate(verb)) {
      return Promise.resolve();
    }
    return this.#begun(verb, this.#store.turns.inLine('agents', () => this.#store.with(call)));
  }

  /** Changes what many things are about, behind all calls before it and before all behind it. */
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

  /** Reads something that must not be said to be empty because it cannot be read. */
  readSurely<T>(verb: string, late: T, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.resolve(late) : this.#behind(verb, call);
  }

  /** Reads something that must be answered. */
  ask<T>(verb: string, call: Call<T>): Promise<T> {
    return this.isLate(verb) ? Promise.reject(new ClosedError()) : this.#behind(verb, call);
  }

  /** Returns whether it is too late for a call, and says so. */
  isLate(verb: string): boolean {
    if (this.#disposing !== undefined) {
      this.#told.warn(`${verb} was called after disposal`);
    }
    return this.#disposing !== undefined;
  }

  /** Waits for the calls under way, at most three seconds, and leaves the store. */
  dispose(): Promise<void> {
    this.#disposing ??= withinTime(this.#leave(), DISPOSE_WAIT_MS);
    return this.#disposing;
  }

  async #leave(): Promise<void> {
    try {
      await this.#store.leave(this.#user, [...this.#pending]);
    } catch (error) {
      this.#told.warn('The store was not closed as it should be', error);
    }
  }

  #beside<T>(verb: string, call: Call<T>): Promise<T> {
    return this.#begun(verb, this.#store.turns.beside(() => this.#store.with(call)));
  }

  #behind<T>(verb: string, call: Call<T>): Promise<T> {
    return this.#begun(verb, this.#store.turns.behind(() => this.#store.with(call)));
  }

  /** Notes a call, for those who dispose of the service while it is under way. */
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

/** Waits for something, but not longer than so many milliseconds. @internal */
export async function withinTime<T>(waited: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), milliseconds)));
  try {
    return await Promise.race([waited, patience]);
  } finally {
    clearTimeout(timer);
  }
}
