/**
 * A checkpointer of LangGraph.js that stores its checkpoints in a NofX store. Needs `@langchain/langgraph-checkpoint`.
 *
 * ```ts
 * import { open } from 'nofx-node';
 * import { NofxSaver } from 'nofx-node/adapters/langgraph';
 *
 * const workspace = await open('redb:.nofx/store/nofx.redb');
 * const graph = builder.compile({ checkpointer: new NofxSaver(workspace) });
 * ```
 *
 * @packageDocumentation
 */

import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import type { RunnableConfig } from '@langchain/core/runnables';
import {
  BaseCheckpointSaver,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointPendingWrite,
  type CheckpointTuple,
  compareWritesSortKeys,
  copyCheckpoint,
  getCheckpointId,
  maxChannelVersion,
  type PendingWrite,
  type SerializerProtocol,
  TASKS,
  WRITES_IDX_MAP,
  writesSortKey,
} from '@langchain/langgraph-checkpoint';
import { ConflictError, CorruptError, type OwnRecord, type RecordBatch, type RecordName, type Records, type Workspace } from '../index';
import { joined } from './names';

/** Options of the checkpointer. */
export interface SaverOptions {
  /** The name of the records; `langgraph` by default. Savers with different names do not see each other's data. */
  name?: string;
  /** The serializer, instead of LangGraph's own. */
  serde?: SerializerProtocol;
}

/** A value as its serializer wrote it: text, or bytes that are not text. */
type Kept = { type: string; text: string } | { type: string; base64: string };

interface KeptCheckpoint {
  thread: string;
  ns: string;
  id: string;
  parent?: string;
  /** Without its channels' values. */
  checkpoint: Kept;
  metadata: Kept;
  /** The checkpoint with which the value of each channel is stored: this one, or the earlier one in which it last changed. */
  values: { [channel: string]: string };
}

/** What one task of a superstep has written so far. */
interface KeptWrites {
  task: string;
  path: string;
  writes: { idx: number; channel: string; value: Kept }[];
}

/** What to do about unreadable data. */
const RESTORE = 'restore a backup, or run nofx doctor';

/** Records deleted in one commit. */
const TOGETHER = 500;

/** For how many checkpoints the locations of their values are cached. */
const REMEMBERED = 32;

/** Where the values of a checkpoint are, as of a version of its record. */
interface Places {
  version: number;
  values: KeptCheckpoint['values'];
}

/**
 * Stores each checkpoint as a record, found by its thread, namespace and id, with other records for each changed channel value and for the writes
 * of each task. The newest checkpoint of a thread is found with one read, however long the thread is. Several processes can use one store.
 */
export class NofxSaver extends BaseCheckpointSaver {
  readonly #records: Records;
  /** By record id, most recently used last: the parent of a checkpoint is nearly always the one before it. */
  readonly #places = new Map<string, Places>();

  constructor(workspace: Workspace, { name = 'langgraph', serde }: SaverOptions = {}) {
    super(serde);
    this.#records = workspace.records(name);
  }

  async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread_id: thread, checkpoint_ns: ns = '' } = configurable(config);
    if (thread === undefined) {
      return undefined;
    }
    const id = getCheckpointId(config);
    const found = id ? await this.#one(joined(thread, ns, id)) : await this.#newest(`${joined(thread, ns)}/`);
    return found && this.#tuple(found, id ? config : undefined);
  }

  async *list(config: RunnableConfig, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const { thread_id: thread, checkpoint_ns: ns, checkpoint_id: id } = configurable(config);
    const before = options.before && getCheckpointId(options.before);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    if (left <= 0) {
      return;
    }
    const texts = [thread, thread === undefined ? undefined : ns].filter((text) => text !== undefined);
    const prefix = texts.length > 0 ? `${joined(...texts)}/` : '';
    const isOneList = thread !== undefined && ns !== undefined;
    const after = isOneList && before ? { after: { kind: 'checkpoint', id: joined(thread, ns, before) } } : {};
    for await (const record of this.#records.scan<KeptCheckpoint>({ kind: 'checkpoint', prefix, backward: true, ...after })) {
      const kept = readable(record);
      const isWanted =
        (ns === undefined || kept.ns === ns) && (!id || kept.id === id) && (!before || kept.id < before);
      if (!isWanted || !(await this.#matches(kept, options.filter))) {
        continue;
      }
      yield await this.#tuple(kept);
      left -= 1;
      if (left <= 0) {
        return;
      }
    }
  }

  async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const { checkpoint_ns: ns = '', checkpoint_id: parent } = configurable(config);
    const [thread, id] = [required(config, 'thread_id'), checkpoint.id];
    const { channel_values: all, ...rest } = copyCheckpoint(checkpoint);
    const written = { checkpoint: await this.#keep(rest), metadata: await this.#keep(metadata) };
    const record = { kind: 'checkpoint', id: joined(thread, ns, id) };
    const above = parent ? { kind: 'checkpoint', id: joined(thread, ns, parent) } : undefined;
    while (true) {
      const before = above && (await this.#placesOf(above.id));
      const places: KeptCheckpoint['values'] = {};
      const put: RecordBatch['put'] = [];
      for (const [channel, value] of Object.entries(all)) {
        const isNew = Object.hasOwn(newVersions, channel);
        const at = isNew ? id : before?.values[channel];
        if (at === undefined || (isNew && value === undefined)) {
          continue;
        }
        places[channel] = at;
        if (isNew) {
          put.push({ ...valueAt(thread, ns, id, channel), body: await this.#keep(value) });
        }
      }
      const body: KeptCheckpoint = { thread, ns, id, ...(parent && { parent }), ...written, values: places };
      const guard = above && before ? [{ ...above, expect: before.version }] : [];
      try {
        const { version } = await this.#records.commit({ put: [{ ...record, body }, ...put], guard });
        this.#remember(record.id, { version: version ?? 0, values: places });
        return { configurable: { thread_id: thread, checkpoint_ns: ns, checkpoint_id: id } };
      } catch (error) {
        if (!(error instanceof ConflictError) || guard.length === 0) {
          throw error;
        }
        // The parent was put again or deleted since.
        guard.forEach(({ id }) => this.#places.delete(id));
      }
    }
  }

  async putWrites(config: RunnableConfig, writes: PendingWrite[], task: string, path = ''): Promise<void> {
    const { checkpoint_ns: ns = '' } = configurable(config);
    const [thread, id] = [required(config, 'thread_id'), required(config, 'checkpoint_id')];
    const given = await Promise.all(
      writes.map(async ([channel, value], at) => ({ idx: WRITES_IDX_MAP[channel] ?? at, channel, value: await this.#keep(value) })),
    );
    const key = joined(thread, ns, id, task);
    // Nearly always the first write of its task, so nothing is read before.
    let before: OwnRecord<KeptWrites> | null = null;
    while (true) {
      const body: KeptWrites = { task, path, writes: merged(before?.body.writes ?? [], given) };
      try {
        await this.#records.put('write', key, body, { expect: before?.version ?? 'absent' });
        return;
      } catch (error) {
        if (!(error instanceof ConflictError)) {
          throw error;
        }
      }
      before = await this.#records.get<KeptWrites>('write', key);
    }
  }

  async deleteThread(thread: string): Promise<void> {
    const prefix = `${joined(thread)}/`;
    for (const kind of ['write', 'value', 'checkpoint']) {
      for await (const page of this.#records.scan({ kind, prefix, pageSize: TOGETHER }).pages()) {
        await this.#records.commit({ delete: page.map(({ id }) => ({ kind, id })) });
      }
    }
  }

  async #one(id: string): Promise<KeptCheckpoint | undefined> {
    const found = await this.#records.get<KeptCheckpoint>('checkpoint', id);
    return found === null ? undefined : this.#read(found);
  }

  async #newest(prefix: string): Promise<KeptCheckpoint | undefined> {
    for await (const record of this.#records.scan<KeptCheckpoint>({ kind: 'checkpoint', prefix, backward: true, pageSize: 1 })) {
      return this.#read(record);
    }
    return undefined;
  }

  /** Parses a checkpoint's record, and caches where its values are. */
  #read(record: OwnRecord<KeptCheckpoint>): KeptCheckpoint {
    const kept = readable(record);
    this.#remember(record.id, { version: record.version, values: kept.values });
    return kept;
  }

  /** Returns where the values of a checkpoint are; `undefined` if there is none. */
  async #placesOf(id: string): Promise<Places | undefined> {
    const known = this.#places.get(id);
    if (known !== undefined) {
      return known;
    }
    const found = await this.#records.get<KeptCheckpoint>('checkpoint', id);
    return found === null ? undefined : this.#remember(id, { version: found.version, values: found.body.values });
  }

  #remember(id: string, places: Places): Places {
    this.#places.delete(id);
    this.#places.set(id, places);
    const [oldest] = this.#places.keys();
    if (this.#places.size > REMEMBERED && oldest !== undefined) {
      this.#places.delete(oldest);
    }
    return places;
  }

  async #tuple(kept: KeptCheckpoint, asked?: RunnableConfig): Promise<CheckpointTuple> {
    const { thread, ns, id, parent } = kept;
    const [rest, metadata, channel_values, pendingWrites] = await Promise.all([
      this.#load(kept.checkpoint) as Promise<Omit<Checkpoint, 'channel_values'>>,
      this.#load(kept.metadata) as Promise<CheckpointMetadata>,
      this.#values(kept),
      this.#writes(thread, ns, id),
    ]);
    const checkpoint: Checkpoint = { ...rest, channel_values };
    if (checkpoint.v < 4 && parent !== undefined) {
      await this.#bringSends(checkpoint, thread, ns, parent);
    }
    const configOf = (checkpoint_id: string) => ({ configurable: { thread_id: thread, checkpoint_ns: ns, checkpoint_id } });
    return {
      config: asked ?? configOf(id),
      checkpoint,
      metadata,
      pendingWrites,
      ...(parent !== undefined && { parentConfig: configOf(parent) }),
    };
  }

  async #values({ thread, ns, values }: KeptCheckpoint): Promise<Checkpoint['channel_values']> {
    const places = Object.entries(values);
    if (places.length === 0) {
      return {};
    }
    const found = await this.#records.getEach<Kept>(places.map(([channel, at]) => valueAt(thread, ns, at, channel)));
    const loaded = places.map(async ([channel], at) => {
      const value = found[at];
      if (value == null) {
        throw new CorruptError({ code: 'corrupt', message: `the value of channel \`${channel}\` is missing`, nextStep: RESTORE });
      }
      return [channel, await this.#load(value.body)] as const;
    });
    return Object.fromEntries(await Promise.all(loaded));
  }

  /** Before version 4, what was sent to tasks was stored with the parent's writes. */
  async #bringSends(checkpoint: Checkpoint, thread: string, ns: string, parent: string): Promise<void> {
    const sent = (await this.#writes(thread, ns, parent)).filter(([, channel]) => channel === TASKS);
    const versions = Object.values(checkpoint.channel_versions ?? {});
    checkpoint.channel_values = { ...checkpoint.channel_values, [TASKS]: sent.map(([, , value]) => value) };
    const version = versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined);
    checkpoint.channel_versions = { ...checkpoint.channel_versions, [TASKS]: version };
  }

  /** Returns the writes of a checkpoint in the order in which they are applied. */
  async #writes(thread: string, ns: string, id: string): Promise<CheckpointPendingWrite[]> {
    const found = await this.#records.scan<KeptWrites>({ kind: 'write', prefix: `${joined(thread, ns, id)}/` }).all();
    const writes = found.flatMap((record) => {
      const { task, path, writes } = readable(record);
      return writes.map((write) => ({ ...write, task, key: writesSortKey(path, task, write.idx) }));
    });
    writes.sort((a, b) => compareWritesSortKeys(a.key, b.key));
    return Promise.all(
      writes.map(async ({ task, channel, value }): Promise<CheckpointPendingWrite> => [task, channel, await this.#load(value)]),
    );
  }

  async #matches(kept: KeptCheckpoint, filter: CheckpointListOptions['filter']): Promise<boolean> {
    const wanted = Object.entries(filter ?? {});
    if (wanted.length === 0) {
      return true;
    }
    const metadata = (await this.#load(kept.metadata)) as Record<string, unknown>;
    return wanted.every(([name, value]) => isDeepStrictEqual(metadata[name], value));
  }

  async #keep(value: unknown): Promise<Kept> {
    const [type, bytes] = await this.serde.dumpsTyped(value);
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Text that is cut in the middle of a character would not come back unchanged.
    return isUtf8(buffer) ? { type, text: buffer.toString('utf8') } : { type, base64: buffer.toString('base64') };
  }

  #load(kept: Kept): Promise<unknown> {
    return this.serde.loadsTyped(kept.type, 'text' in kept ? kept.text : new Uint8Array(Buffer.from(kept.base64, 'base64')));
  }
}

/** What a task has written before stays; only writes about the task, such as an interrupt, are replaced. */
function merged(before: KeptWrites['writes'], given: KeptWrites['writes']): KeptWrites['writes'] {
  const writes = new Map(before.map((write) => [write.idx, write]));
  for (const write of given) {
    if (write.idx < 0 || !writes.has(write.idx)) {
      writes.set(write.idx, write);
    }
  }
  return [...writes.values()];
}

/** Returns the content of a record; throws if it cannot be read: another checkpoint is no substitute. */
function readable<T>(record: OwnRecord<T>): T {
  if (record.unreadable !== undefined) {
    throw new CorruptError({ code: 'corrupt', message: record.unreadable, nextStep: RESTORE });
  }
  return record.body;
}

function valueAt(thread: string, ns: string, checkpoint: string, channel: string): RecordName {
  return { kind: 'value', id: joined(thread, ns, checkpoint, channel) };
}

function configurable(config: RunnableConfig): { thread_id?: string; checkpoint_ns?: string; checkpoint_id?: string } {
  return config.configurable ?? {};
}

function required(config: RunnableConfig, name: 'thread_id' | 'checkpoint_id'): string {
  const value = configurable(config)[name];
  if (typeof value !== 'string' || value === '') {
    throw new Error(`\`${name}\` is missing in \`configurable\` of the config`);
  }
  return value;
}
