import { ConflictError, CorruptError, type RecordBatch, type RecordName, type Records } from '../index';
import { joined } from './names';

/** The record of a list. Its items are separate records at dense positions, in an epoch that ends when the list is cleared. */
interface List {
  id: string;
  epoch: number;
  length: number;
}

/** A list as it was read, with helpers to read and name its parts. @internal */
export interface ReadList<T> {
  readonly length: number;
  /** Reads the newest items, oldest first; all of them without a count. */
  newest(count?: number): Promise<T[]>;
  /** Names something beside the items that is removed when the list is cleared. */
  beside(kind: string, name: string): RecordName;
}

/** A change of a list: from a position on, its items are replaced by these. */
export interface Change<T> {
  from: number;
  items: T[];
  /** What belongs to the same commit. */
  besides?: RecordBatch['put'];
}

/** How many records are removed in one commit. */
const TOGETHER = 500;

/** Digits of a position, so that the order of ids is that of positions. */
const DIGITS = 12;

/**
 * Ordered lists of JSON values in a host's own records. Each change is one commit, and calls of several processes never interleave.
 *
 * @internal
 */
export class ItemList<T> {
  readonly #records: Records;
  readonly #id: string;
  /** The end of the last call that changes it. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(records: Records, id: string) {
    this.#records = records;
    this.#id = id;
  }

  /** Reads the list, after the changes that were requested before. */
  async read<R>(look: (list: ReadList<T>) => Promise<R>): Promise<R> {
    await this.#last;
    const { list } = await this.#look();
    return look(this.#shown(list));
  }

  /** Changes the list as `decide` says after reading it, and retries while other writers are first; `undefined` is no change. Returns the decision. */
  change<C extends Change<T> | undefined>(decide: (list: ReadList<T>) => Promise<C>): Promise<C> {
    return this.#next(async () => {
      while (true) {
        const { list, version } = await this.#look();
        const change = await decide(this.#shown(list));
        if (change === undefined) {
          return change;
        }
        const length = change.from + change.items.length;
        const put = change.items.map((body, at) => ({ ...this.#item(list, change.from + at), body }));
        const gone = Array.from({ length: Math.max(0, list.length - length) }, (_, at) => this.#item(list, length + at));
        if (await this.#committed({ ...list, length }, version, { put: [...put, ...(change.besides ?? [])], delete: gone })) {
          return change;
        }
      }
    });
  }

  /** Appends items. Without any, nothing changes, but a store that is closed or gone still rejects. */
  async append(items: T[]): Promise<void> {
    await this.change(async ({ length }) => (items.length === 0 ? undefined : { from: length, items }));
  }

  /** Removes all items, in one commit; their records are deleted afterwards. */
  clear(): Promise<void> {
    return this.#next(async () => {
      while (true) {
        const { list, version } = await this.#look();
        if (version === undefined) {
          return;
        }
        if (await this.#committed({ ...list, epoch: list.epoch + 1, length: 0 }, version, {})) {
          await this.#remove(list);
          return;
        }
      }
    });
  }

  #next<R>(call: () => Promise<R>): Promise<R> {
    const called = this.#last.then(call);
    this.#last = called.catch(() => undefined);
    return called;
  }

  async #look(): Promise<{ list: List; version?: number }> {
    const found = await this.#records.get<List>('list', joined(this.#id));
    return found === null ? { list: { id: this.#id, epoch: 0, length: 0 } } : { list: found.body, version: found.version };
  }

  #shown(list: List): ReadList<T> {
    return {
      length: list.length,
      newest: (count = list.length) => this.#newest(list, Math.min(count, list.length)),
      beside: (kind, name) => ({ kind, id: `${this.#prefix(list)}${joined(name)}` }),
    };
  }

  async #newest(list: List, count: number): Promise<T[]> {
    if (count <= 0) {
      return [];
    }
    const after = list.length > count ? { after: this.#item(list, list.length - count - 1) } : {};
    const items: T[] = [];
    for await (const { body, unreadable } of this.#records.scan<T>({ kind: 'item', prefix: this.#prefix(list), ...after })) {
      if (unreadable !== undefined) {
        throw new CorruptError({ code: 'corrupt', message: unreadable, nextStep: 'restore a backup, or run nofx doctor' });
      }
      items.push(body);
    }
    // What another process has added since is not included.
    return items.slice(0, count);
  }

  async #committed(list: List, version: number | undefined, batch: RecordBatch): Promise<boolean> {
    const head = { kind: 'list', id: joined(this.#id), body: list, expect: version ?? ('absent' as const) };
    try {
      await this.#records.commit({ ...batch, put: [head, ...(batch.put ?? [])] });
      return true;
    } catch (error) {
      if (!(error instanceof ConflictError)) {
        throw error;
      }
      return false;
    }
  }

  /** Deletes the records of a past epoch, which are no longer read. */
  async #remove(list: List): Promise<void> {
    const prefix = this.#prefix(list);
    for (const kind of ['item', 'operation']) {
      for await (const page of this.#records.scan({ kind, prefix, pageSize: TOGETHER }).pages()) {
        await this.#records.commit({ delete: page.map(({ id }) => ({ kind, id })) });
      }
    }
  }

  #prefix({ epoch }: List): string {
    return `${joined(this.#id)}/${epoch}/`;
  }

  #item(list: List, position: number): RecordName {
    return { kind: 'item', id: `${this.#prefix(list)}${String(position).padStart(DIGITS, '0')}` };
  }
}
