/**
 * A `Session` of the OpenAI Agents SDK in a NofX store. Needs `@openai/agents-core`, for its types.
 *
 * ```ts
 * import { run } from '@openai/agents';
 * import { open } from 'nofx-node';
 * import { NofxSession } from 'nofx-node/adapters/openai';
 *
 * const workspace = await open('redb:.nofx/store/nofx.redb');
 * await run(agent, 'hello', { session: new NofxSession(workspace, 'thread-1') });
 * ```
 *
 * @packageDocumentation
 */

import { isDeepStrictEqual } from 'node:util';
import type {
  AgentInputItem,
  SessionHistoryRewriteArgs,
  SessionHistoryRewriteAwareSession,
  SessionHistoryTransactionArgs,
  SessionHistoryTransactionAwareSession,
} from '@openai/agents-core';
import { InvalidError, type Records, type Workspace } from '../index';
import { ItemList } from './items';

/** Options of a session. */
export interface SessionOptions {
  /** The name of the records; `openai` by default. Sessions with different names do not see each other's data. */
  name?: string;
}

/**
 * A session under an id that the host chooses. Each call is one commit; several processes can use one session, and their calls never interleave.
 * Popped or cleared items are gone.
 */
export class NofxSession implements SessionHistoryRewriteAwareSession, SessionHistoryTransactionAwareSession {
  readonly #id: string;
  readonly #records: Records;
  readonly #items: ItemList<unknown>;

  constructor(workspace: Workspace, sessionId: string, { name = 'openai' }: SessionOptions = {}) {
    this.#id = sessionId;
    this.#records = workspace.records(name);
    this.#items = new ItemList(this.#records, sessionId);
  }

  async getSessionId(): Promise<string> {
    return this.#id;
  }

  async getItems(limit?: number): Promise<AgentInputItem[]> {
    return (await this.#items.read((list) => list.newest(limit))).map(unpacked);
  }

  async addItems(items: AgentInputItem[]): Promise<void> {
    await this.#items.append(items.map(packed));
  }

  async popItem(): Promise<AgentInputItem | undefined> {
    const popped = await this.#items.change(async (list) => {
      const [item] = await list.newest(1);
      return list.length === 0 ? undefined : { from: list.length - 1, items: [], item };
    });
    return popped && unpacked(popped.item);
  }

  async clearSession(): Promise<void> {
    await this.#items.clear();
  }

  /** Replaces function calls: the first matching one is replaced, further ones are removed. */
  async applyHistoryMutations({ mutations }: SessionHistoryRewriteArgs): Promise<void> {
    await this.#items.change(async (list) => {
      const before = await list.newest();
      const after = mutations.reduce((items, { callId, replacement }) => replaced(items, callId, packed(replacement)), before);
      const from = after.findIndex((item, at) => item !== before[at]);
      return from < 0 ? undefined : { from, items: after.slice(from) };
    });
  }

  /** Changes the history once, however often it is repeated with one `operationId`, until the session is cleared. */
  async applyHistoryTransaction({ operationId, transaction }: SessionHistoryTransactionArgs): Promise<void> {
    if (typeof operationId !== 'string' || operationId.trim() === '') {
      throw invalid('`operationId` is not a non-empty text');
    }
    const given = packed(transaction);
    await this.#items.change(async (list) => {
      const operation = list.beside('operation', operationId);
      const applied = await this.#records.get(operation.kind, operation.id);
      if (applied !== null) {
        if (!isDeepStrictEqual(applied.body, given)) {
          throw invalid(`operation \`${operationId}\` was applied before with another transaction`);
        }
        return undefined;
      }
      const besides = [{ ...operation, body: given, expect: 'absent' as const }];
      if (transaction.type === 'append_items') {
        return { from: list.length, items: transaction.items.map(packed), besides };
      }
      const expected = transaction.expectedSuffix.map(packed);
      if (!isDeepStrictEqual(await list.newest(expected.length), expected)) {
        throw invalid('the newest items are not the ones that the transaction expects');
      }
      return { from: list.length - expected.length, items: transaction.replacement.map(packed), besides };
    });
  }
}

function replaced(items: unknown[], callId: string, replacement: unknown): unknown[] {
  const isIt = (item: unknown) => {
    const { type, callId: of } = item as { type?: unknown; callId?: unknown };
    return type === 'function_call' && of === callId;
  };
  const first = items.findIndex(isIt);
  return items.flatMap((item, at) => (isIt(item) ? (at === first ? [replacement] : []) : [item]));
}

/** The member that stands for bytes, in base64. */
const BYTES = '$bytes';

/** Returns a value as JSON, with bytes as text. */
function packed(value: unknown): unknown {
  const text = JSON.stringify(value, function (this: Record<string, unknown>, name, written: unknown) {
    const bytes = this[name];
    return bytes instanceof Uint8Array ? { [BYTES]: Buffer.from(bytes).toString('base64') } : written;
  });
  return JSON.parse(text);
}

function unpacked(value: unknown): AgentInputItem {
  return JSON.parse(JSON.stringify(value), (_, read: Record<string, unknown> | null) => {
    const bytes = read?.[BYTES];
    return typeof bytes === 'string' ? new Uint8Array(Buffer.from(bytes, 'base64')) : read;
  }) as AgentInputItem;
}

function invalid(what: string): InvalidError {
  return new InvalidError({ code: 'invalid', message: `invalid: ${what}`, nextStep: 'correct the request' });
}
