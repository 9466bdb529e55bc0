import type { NewMessage } from 'nofx-node';

/** A message that waits to be saved. It has an id, so that it can be recognised in the store. */
export interface Unsaved {
  session: string;
  message: NewMessage & { id: string };
}

/** What the outbox needs from a store. */
export interface Store {
  addMessage(session: string, message: NewMessage): Promise<number>;
  /** Returns whether a message is among the newest of a session. */
  has(session: string, messageId: string): Promise<boolean>;
}

/** Returns whether the same call may succeed later, as the errors of nofx-node say about themselves. */
function isTransient(error: unknown): error is Error & { code: string; transient: true } {
  return (error as { transient?: boolean }).transient === true;
}

/**
 * Messages on their way to the store, in order.
 *
 * What cannot be saved for now, because the disk is full or another program has the store, stays here and is retried. What can
 * never be saved is handed back to the caller that added it.
 */
export class Outbox {
  readonly #store: Store;
  readonly #tell: (unsaved: readonly Unsaved[], reason: Error | undefined) => void;
  #waiting: Unsaved[] = [];
  #saving: Promise<void> = Promise.resolve();
  /** The outcome of this message is not known. */
  #doubtful: Unsaved | undefined;

  constructor(store: Store, tell: (unsaved: readonly Unsaved[], reason: Error | undefined) => void) {
    this.#store = store;
    this.#tell = tell;
  }

  /** The messages that are not saved yet. */
  get unsaved(): readonly Unsaved[] {
    return this.#waiting;
  }

  /** Saves a message, or keeps it and returns `false`. Throws if it can never be saved. */
  async add(item: Unsaved): Promise<boolean> {
    this.#waiting.push(item);
    await this.save();
    return !this.#waiting.includes(item);
  }

  /** Tries to save the waiting messages. */
  save(): Promise<void> {
    const next = this.#saving.then(() => this.#saveAll());
    this.#saving = next.catch(() => undefined);
    return next;
  }

  async #saveAll(): Promise<void> {
    const refused: unknown[] = [];
    while (this.#waiting[0] !== undefined) {
      const item = this.#waiting[0];
      try {
        if (this.#doubtful !== item || !(await this.#store.has(item.session, item.message.id))) {
          await this.#store.addMessage(item.session, item.message);
        }
      } catch (error) {
        if (isTransient(error)) {
          this.#doubtful = error.code === 'unknown' ? item : this.#doubtful;
          this.#tell(this.#waiting, error);
          break;
        }
        refused.push(error);
      }
      this.#drop();
    }
    if (refused.length > 0) {
      throw refused[0];
    }
  }

  #drop(): void {
    this.#waiting.shift();
    this.#doubtful = undefined;
    if (this.#waiting.length === 0) {
      this.#tell([], undefined);
    }
  }
}
