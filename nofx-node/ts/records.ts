import type { ErrorCode } from './errors';
import { invalid } from './own-errors';
import { Listing, type Page } from './pages';

/** Identifies one of a host's own records or logs. */
export interface RecordName {
  /** The family of records, in lower-case letters, digits and hyphens. */
  kind: string;
  /** Which one of the family: any text of at most 512 bytes. */
  id: string;
}

/** A host's own record. */
export interface OwnRecord<T = unknown> extends RecordName {
  /** The number of the commit that last wrote it. */
  version: number;
  /** Its content. */
  body: T;
  /** Why it cannot be read, if so; everything else is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** The head of one of a host's own logs. */
export interface OwnLog extends RecordName {
  /** How many entries it has: the position of the next one. */
  length: number;
  /** The time of its last entry, if it has one. */
  lastAt: string | null;
  /** Whether it accepts entries. A removed log never does again. */
  state: 'open' | 'sealed' | 'removed';
  /** Why it cannot be read, if so; everything else is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** An entry of one of a host's own logs. */
export interface OwnEntry<T = unknown> {
  /** Its position in the log, dense from zero. */
  position: number;
  /** When it happened, by its writer's clock; not necessarily increasing. */
  at: string;
  /** Its content. */
  body: T;
  /** Why it cannot be read, if so; everything but its position is then empty. */
  unreadable?: string;
  /** The code of the error, if it cannot be read. */
  code?: ErrorCode;
}

/** What must be true before a record is written: it does not exist, or has the version that was read. Anything goes by default. */
export interface Expectation {
  expect?: 'absent' | number;
}

/** Entries to append to a log, which exists from its first entry on. */
export interface OwnAppend extends RecordName {
  /** How many entries the log must have before, if that matters. */
  length?: number;
  /** The entries, at least one. An entry without a time gets the current time. */
  entries: { at?: string; body: unknown }[];
}

/** Changes that are made together. */
export interface RecordBatch {
  /** Records to write, each named once. */
  put?: (RecordName & Expectation & { body: unknown })[];
  /** Records to delete. Deleting a record that does not exist is not an error. */
  delete?: (RecordName & Expectation)[];
  /** Entries to append. */
  append?: OwnAppend[];
  /** Logs to seal: they accept no further entries. */
  seal?: RecordName[];
  /** Logs to remove permanently with all their entries: their ids are never used again. */
  remove?: RecordName[];
  /** Other conditions: on a record, or with `length` on a log. */
  guard?: (RecordName & Expectation & { length?: number })[];
}

/** The result of a committed batch. */
export interface CommittedRecords {
  /** The version of the records that it wrote; `null` if it wrote none. */
  version: number | null;
  /** Where its entries begin, for each append in the order of the batch. */
  positions: number[];
}

/** Which records or logs to list. */
export interface RecordScan {
  /** Only this kind; by default all kinds of this name, which cannot be listed backwards. */
  kind?: string;
  /** Only ids that begin with this. Requires a kind. */
  prefix?: string;
  /** Only those after this one, which need not exist. */
  after?: RecordName;
  /** Largest id first. */
  backward?: boolean;
  /** Items per page; 256 by default, 1,000 at most. A page also ends at a few megabytes. */
  pageSize?: number;
}

/** Which entries of a log to read. */
export interface LogRange {
  /** Newest first. Oldest first by default. */
  newestFirst?: boolean;
  /** The first position to read; 0 by default. */
  from?: number;
  /** The position after the last one to read; the end by default. */
  to?: number;
  /** Items per page; 256 by default, 1,000 at most. A page also ends at a few megabytes. */
  pageSize?: number;
}

/** How records are read and changed. @internal */
export interface RecordCalls {
  read<T>(verb: string, request: object, names?: readonly string[]): Promise<T>;
  change<T>(verb: string, request: object, names: readonly string[]): Promise<T>;
}

/**
 * A host's own records and logs under a name, separate from sessions, agents and the rest. They belong to no namespace. Backups and full
 * dumps include them.
 *
 * Bodies are any JSON. Changes of one record or log happen in the order of the calls, and reads see the changes made before. A change whose
 * expectation does not hold rejects with {@link ConflictError}, and none of it has happened.
 *
 * The id of a removed log is never used again. To start a log over, keep a record that says which log is the current one, and change both in
 * one {@link Records.commit}:
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
 * // Started over: the old log goes, the pointer names the next one.
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

  /** Returns each requested record, in that order and as of one point in time; `null` for one that does not exist. */
  getEach<T = unknown>(keys: RecordName[]): Promise<(OwnRecord<T> | null)[]> {
    return this.#calls.read('getRecords', { name: this.#name, keys }, names(this.#name, keys));
  }

  /** Returns all records that a query finds in order of kind and id, read on demand. */
  scan<T = unknown>(query: RecordScan = {}): Listing<OwnRecord<T>> {
    return this.#listed('scanRecords', query);
  }

  /** Writes a record; returns its version. */
  async put(kind: string, id: string, body: unknown, expectation: Expectation = {}): Promise<number> {
    const { version } = await this.commit({ put: [{ kind, id, body, ...expectation }] });
    return version ?? 0;
  }

  /** Deletes a record. It is not an error if there is none, unless something else is expected. */
  async delete(kind: string, id: string, expectation: Expectation = {}): Promise<void> {
    await this.commit({ delete: [{ kind, id, ...expectation }] });
  }

  /** Returns the heads of all logs that a query finds, read as they are asked for. */
  logs(query: RecordScan = {}): Listing<OwnLog> {
    return this.#listed('scanLogs', query);
  }

  /** Returns the head of a log; a log that does not exist is open and empty. */
  head(kind: string, id: string): Promise<OwnLog> {
    const log = { kind, id };
    return this.#calls.read('logHead', { name: this.#name, ...log }, names(this.#name, [log]));
  }

  /** Returns the entries of a log, read on demand. */
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

  /** Makes several changes together, all or nothing. */
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

/** Returns what is touched, for the order of calls. */
function names(name: string, things: RecordName[]): string[] {
  return things.map((thing) => `${name}/${thing?.kind}/${thing?.id}`);
}
