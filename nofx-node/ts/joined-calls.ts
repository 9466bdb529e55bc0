import { NofxError } from './errors';
import type { Kind, Order } from './order';
import { invalid } from './own-errors';
import { written } from './requests';

/** The most messages in one call to the addon. */
const MOST_MESSAGES = 1000;

/** The most characters in one call to the addon, unless a single call has more. */
const MOST_TEXT = 1 << 20;

/** The text around messages that are written as a request. */
const PREFIX = '{"messages":[';
const SUFFIX = ']}';

/** Calls that wait together. */
interface Joined {
  calls: Call[];
  messages: number;
  text: number;
}

interface Call {
  /** The messages as JSON, without the brackets around them. */
  json: string;
  count: number;
  resolve(position: number): void;
  reject(error: unknown): void;
}

/**
 * Adds messages to logs in the order of the calls. Calls that wait for the same log share a commit.
 *
 * A call never fails because of another: if the joined commit is refused for its content, each call is made separately.
 *
 * @internal
 */
export class JoinedCalls {
  readonly #order: Order;
  readonly #kind: Kind;
  readonly #add: (id: string, messages: string) => Promise<number>;
  /** The last waiting calls of each log, which others may join. */
  readonly #open = new Map<string, Joined>();

  /** `add` adds messages, given as JSON, and answers the position of the first one. */
  constructor(order: Order, kind: Kind, add: (id: string, messages: string) => Promise<number>) {
    this.#order = order;
    this.#kind = kind;
    this.#add = add;
  }

  /** Says that something else comes next in the queue of a log, so that later calls may not join what waits before it. */
  close(id: string): void {
    this.#open.delete(id);
  }

  async add(id: string, messages: object[]): Promise<number> {
    if (!Array.isArray(messages)) {
      throw invalid('`messages` is not an array');
    }
    const json = written({ messages }).slice(PREFIX.length, -SUFFIX.length);
    const joined = this.#open.get(id);
    const added = new Promise<number>((resolve, reject) => {
      const call: Call = { json, count: messages.length, resolve, reject };
      const fits =
        joined !== undefined &&
        // An empty call is refused, which must not affect others.
        joined.messages > 0 &&
        call.count > 0 &&
        joined.messages + call.count <= MOST_MESSAGES &&
        joined.text + json.length <= MOST_TEXT;
      if (fits) {
        joined.calls.push(call);
        joined.messages += call.count;
        joined.text += json.length;
        return;
      }
      const next: Joined = { calls: [call], messages: call.count, text: json.length };
      this.#open.set(id, next);
      void this.#order.run(this.#kind, id, () => this.#begin(id, next));
    });
    try {
      return await added;
    } catch (error) {
      // Each caller gets its own error, with its own stack.
      throw error instanceof NofxError ? error.again() : error;
    }
  }

  /** Makes the calls that wait together. Never rejects: each call gets its own result. */
  async #begin(id: string, joined: Joined): Promise<void> {
    if (this.#open.get(id) === joined) {
      this.#open.delete(id);
    }
    const { calls } = joined;
    try {
      let position = await this.#add(id, `[${calls.map((call) => call.json).join(',')}]`);
      for (const call of calls) {
        call.resolve(position);
        position += call.count;
      }
    } catch (error) {
      if (calls.length === 1 || !isAboutContent(error)) {
        calls.forEach((call) => call.reject(error));
        return;
      }
      for (const call of calls) {
        await this.#add(id, `[${call.json}]`).then(call.resolve, call.reject);
      }
    }
  }
}

/** Whether nothing was written because of the content of one message, so that the others may be added without it. */
function isAboutContent(error: unknown): boolean {
  return error instanceof NofxError && (error.code === 'invalid' || error.code === 'full');
}
