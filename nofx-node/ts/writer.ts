import type { HistoryEntry, NewMessage } from './entities';

/** The result of appending messages after those that the writer has seen. */
export type Appended =
  /** They were added; `position` is the place of the first one. */
  | { added: true; position: number }
  /**
   * Others were first and nothing was added. These are their messages; the writer now counts as having seen them, including those that
   * cannot be read.
   */
  | { added: false; unseen: HistoryEntry[] };

/**
 * A writer of one session that tracks how much of it it has seen.
 *
 * Two windows on one session never interleave silently: a writer that has not seen the other's messages gets them instead of an
 * acknowledgement. `workspace.addMessages` adds regardless.
 *
 * ```ts
 * let appended = await writer.append([message]);
 * while (!appended.added) {
 *   show(appended.unseen); // perhaps the message is no longer worth saying
 *   appended = await writer.append([message]);
 * }
 * ```
 */
export class SessionWriter {
  readonly #append: (seen: number, messages: NewMessage[]) => Promise<Appended>;
  #seen: number;
  #last: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(append: (seen: number, messages: NewMessage[]) => Promise<Appended>, seen: number) {
    this.#append = append;
    this.#seen = seen;
  }

  /** How many messages of the session this writer has seen. */
  get seen(): number {
    return this.#seen;
  }

  /** Adds messages, all or none, if no other writer has added any since this writer last saw the session. Calls run one at a time. */
  append(messages: NewMessage[]): Promise<Appended> {
    const appended = this.#last.then(() => this.#appendNow(messages));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  async #appendNow(messages: NewMessage[]): Promise<Appended> {
    const appended = await this.#append(this.#seen, messages);
    const last = appended.added ? undefined : appended.unseen.at(-1);
    this.#seen = last === undefined ? this.#seen + messages.length : last.position + 1;
    return appended;
  }
}
