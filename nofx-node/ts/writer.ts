import type { Writer } from './addon';
import type { HistoryEntry, NewMessage } from './entities';

/** What became of messages that were to follow what their writer had seen. */
export type Appended =
  /** They were added; `position` is the place of the first one. */
  | { added: true; position: number }
  /** Others were faster and nothing was added. These are their messages; the writer counts as having seen them now. */
  | { added: false; unseen: HistoryEntry[] };

/**
 * A writer of one session that knows how much of it it has seen.
 *
 * Two windows on one session never interleave silently: who has not seen the other's messages gets them instead of an
 * acknowledgement. `workspace.addMessages` adds regardless.
 */
export class SessionWriter {
  readonly #call: (call: () => Promise<string>) => Promise<Appended>;
  readonly #writer: Writer;

  /** @internal */
  constructor(call: (call: () => Promise<string>) => Promise<Appended>, writer: Writer) {
    this.#call = call;
    this.#writer = writer;
  }

  /** Adds messages, all or none, if nobody else has added any since this writer looked. */
  append(messages: NewMessage[]): Promise<Appended> {
    const request = JSON.stringify({ messages });
    return this.#call(() => this.#writer.append(request));
  }
}
