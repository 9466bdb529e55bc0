import type { ErrorCode } from './errors';
import { Listing, type Page } from './pages';
import { invalid } from './written';

/** Names a record or a log of a host's own. */
export interface RecordName {
  /** Which family of records, in lower-case letters, digits and hyphens. */
  kind: string;
  /** Which of them: any text of at most 512 bytes. */
  id: string;
}

/** A record of a host's own. */
export interface OwnRecord<T = unknown> extends RecordName {
  /** The number of the commit that last wrote it. */
  version: number;
  /** What it holds. */
  body: T;
  /** Why it cannot be read, if so; all else is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** What is known of a log of a host's own without reading it. */
export interface OwnLog extends RecordName {
  /** How many entries it has: the position of the next one. */
  length: number;
  /** The time of its last entry, if it has one. */
  lastAt: string | null;
  /** Whether it takes entries. One that was removed never does again. */
  state: 'open' | 'sealed' | 'removed';
  /** Why it cannot be read, if so; all else is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** An entry of a log of a host's own. */
export interface OwnEntry<T = unknown> {
  /** Its place in the log, dense from zero. */
  position: number;
  /** When it happened, by its writer's clock; not necessarily rising. */
  at: string;
  /** What it holds. */
  body: T;
  /** Why it cannot be read, if so; all but its position is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** What must be there before a record is written: nothing yet, or the version that was read. Otherwise anything. */
export interface Expectation {
  expect?: 'absent' | number;
}

/** Entries to append to a log, which begins to exist with its first one. */
export interface OwnAppend extends RecordName {
  /** How many entries it must have before, if that matters. */
  length?: number;
  /** The entries, at least one. Without a time, they happen now. */
  entries: { at?: string; body: unknown }[];
}

/** What is to happen together. */
export interface RecordBatch {
  /** Records to write, each named once. */
  put?: (RecordName & Expectation & { body: unknown })[];
  /** Records to delete. Deleting one that does not exist is no error. */
  delete?: (RecordName & Expectation)[];
  /** Entries to append. */
  append?: OwnAppend[];
  /** Logs that take no further entries. */
  seal?: RecordName[];
  /** Logs to remove with all their entries, for good: their ids are never used again. */
  remove?: RecordName[];
  /** What must hold besides: of a record, or with `length` of a log. */
  guard?: (RecordName & Expectation & { length?: number })[];
}

/** What a committed batch got. */
export interface CommittedRecords {
  /** The version of the records that it wrote; `null` if it wrote none. */
  version: number | null;
  /** Where its entries begin, for each append in the order of the batch. */
  positions: number[];
}

/** Which records or logs to list. */
export interface RecordScan {
  /** Only those of this kind; otherwise all of this name, which cannot be listed backwards. */
  kind?: string;
  /** Only ids that begin with this. Needs a kind. */
  prefix?: string;
  /** Only those behind this one, which need not exist. */
  after?: RecordName;
  /** The largest id first. */
  backward?: boolean;
  /** How many of a page; otherwise 256, and 1,000 at most. A page also ends at some megabytes. */
  pageSize?: number;
}

/** Which entries of a log to read. */
export interface LogRange {
  /** The newest first. Otherwise the oldest. */
  newestFirst?: boolean;
  /** The first position to read; otherwise 0. */
  from?: number;
  /** The position behind the last one to read; otherwise the end. */
  to?: number;
  /** How many of a page; otherwise 256, and 1,000 at most. A page also ends at some megabytes. */
  pageSize?: number;
}

/** How records are asked for and changed. @internal */
export interface RecordCalls {
  read<T>(verb: string, request: object, names?: readonly string[]): Promise<T>;
  change<T>(verb: string, request: object, names: readonly string[]): Promise<T>;
}

/**
 * Records and logs of a host's own under a name, beside sessions, agents and the rest and out of their reach. They belong to no namespace. Backups
 * and full dumps have them.
 *
 * Bodies are any JSON. Changes of one record or log happen in the order of the calls, and reads see those made before. A change that expects
 * something else than is there rejects with {@link ConflictError}, and nothing of it has happened.
 *
 * The id of a log is never used again once the log was removed. Who wants to begin one again keeps a record that says which log counts, and changes
 * both in one {@link Records.commit}:
 *
 * ```ts
 * const records = workspace.records('chat');
 * const pointer = { kind: 'thread', id: 't1' };
 * const turns = (log: number) => ({ kind: 'turns', id: `t1/${log}` });
 * const said = [{ body: { said: 'hello' } }];
 * const begun = await records.commit({
 *   put: [{ ...pointer, body: { log: 1 }, expect: 'absent' }],
 *   append: [{ ...turns(1), entries: said }],
 * });
 *
 * // Begun again: the old log goes, the pointer names the next one.
 * await records.commit({
 *   put: [{ ...pointer, body: { log: 2 }, expect: begun.version ?? 0 }],
 *   remove: [turns(1)],
 *   append: [{ ...turns(2), entries: said }],
 * });
 * ```
 */
export class Records {
  readonly #calls: RecordCalls;
  readonly #name: string;

  /** @internal */
  constructor(calls: RecordCalls, name: string) {
    this.#calls = calls;
    this.#name = name;
  }

  /** Returns a record; `null` if it does not exist. */
  async get<T = unknown>(kind: string, id: string): Promise<OwnRecord<T> | null> {
    const [found] = await this.getEach<T>([{ kind, id }]);
    return found ?? null;
  }

  /** Returns each record that is asked for, in that order and as of one moment; `null` for one that does not exist. */
  getEach<T = unknown>(keys: RecordName[]): Promise<(OwnRecord<T> | null)[]> {
    return this.#calls.read('getRecords', { name: this.#name, keys }, names(this.#name, keys));
  }

  /** Returns all records that a query finds in the order of their kinds and ids, read as they are asked for. */
  scan<T = unknown>(query: RecordScan = {}): Listing<OwnRecord<T>> {
    return this.#listed('scanRecords', query);
  }

  /** Writes a record; returns its version. */
  async put(kind: string, id: string, body: unknown, expectation: Expectation = {}): Promise<number> {
    const { version } = await this.commit({ put: [{ kind, id, body, ...expectation }] });
    return version ?? 0;
  }

  /** Deletes a record. That there is none is no error, unless something else is expected. */
  async delete(kind: string, id: string, expectation: Expectation = {}): Promise<void> {
    await this.commit({ delete: [{ kind, id, ...expectation }] });
  }

  /** Returns the heads of all logs that a query finds, read as they are asked for. */
  logs(query: RecordScan = {}): Listing<OwnLog> {
    return this.#listed('scanLogs', query);
  }

  /** Returns what is known of a log; one that does not exist is open and empty. */
  head(kind: string, id: string): Promise<OwnLog> {
    const log = { kind, id };
    return this.#calls.read('logHead', { name: this.#name, ...log }, names(this.#name, [log]));
  }

  /** Returns the entries of a log, read as they are asked for. */
  read<T = unknown>(kind: string, id: string, { pageSize, ...range }: LogRange = {}): Listing<OwnEntry<T>> {
    const log = { kind, id };
    return Listing.of<OwnEntry<T>, LogRange>(range, async (at) => {
      const request = { name: this.#name, ...log, limit: pageSize, ...at };
      const { items, next } = await this.#calls.read<Page<OwnEntry<T>, number>>('readLog', request, names(this.#name, [log]));
      return { items, next: next === null ? null : { ...at, [at.newestFirst ? 'to' : 'from']: next } };
    });
  }

  /** Appends to a log; returns the position of the first entry. */
  async append(kind: string, id: string, bodies: unknown[], expectation: { length?: number } = {}): Promise<number> {
    if (!Array.isArray(bodies)) {
      throw invalid('`bodies` is not an array');
    }
    const entries = bodies.map((body) => ({ body }));
    const { positions } = await this.commit({ append: [{ kind, id, entries, ...expectation }] });
    return positions[0] ?? 0;
  }

  /** Does several things together, all or nothing. */
  commit(batch: RecordBatch): Promise<CommittedRecords> {
    const { put = [], delete: gone = [], append = [], seal = [], remove = [] } = batch;
    const touched = [put, gone, append, seal, remove];
    const wrong = touched.find((part) => !Array.isArray(part));
    if (wrong !== undefined) {
      return Promise.reject(invalid('a part of `batch` is not an array'));
    }
    return this.#calls.change('commitRecords', { name: this.#name, ...batch }, names(this.#name, touched.flat()));
  }

  #listed<T extends RecordName>(verb: string, { pageSize, after, ...query }: RecordScan): Listing<T> {
    return Listing.of<T, RecordName | null>(after ?? null, (from) =>
      this.#calls.read(verb, { name: this.#name, limit: pageSize, ...query, after: from }),
    );
  }
}

/** Names what is touched, for the order of calls. */
function names(name: string, things: RecordName[]): string[] {
  return things.map((thing) => `${name}/${thing?.kind}/${thing?.id}`);
}
