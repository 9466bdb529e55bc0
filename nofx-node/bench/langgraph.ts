// LangGraph's checkpoints, compared with its own SqliteSaver with `synchronous=FULL`, which flushes each put as a store does.

import { join } from 'node:path';
import { type BaseCheckpointSaver, type Checkpoint, emptyCheckpoint, uuid6 } from '@langchain/langgraph-checkpoint';
import type * as nofx from '../dist/index';
import type * as langgraph from '../dist/adapters/langgraph';
import { median, peer, printed } from './measure';

const { open } = require('../dist/index.js') as typeof nofx;
const { NofxSaver } = require('../dist/adapters/langgraph.js') as typeof langgraph;

const SUPERSTEPS = 100;
const ROUNDS = 15;
const THREAD = { configurable: { thread_id: 'thread', checkpoint_ns: '' } };

/** A saver, and how to close it. */
interface Opened {
  saver: BaseCheckpointSaver;
  close(): unknown;
}

interface Sqlite {
  SqliteSaver: { fromConnString(file: string): BaseCheckpointSaver & { db: { pragma(text: string): void; close(): void } } };
}

export async function checkpoints(folder: string): Promise<void> {
  const kept = async (journal: boolean): Promise<Opened> => {
    const workspace = await open(`redb:${join(folder, `langgraph-${String(journal)}.redb`)}`, { journal });
    return { saver: new NofxSaver(workspace), close: () => workspace.close() };
  };
  const makers: Record<string, () => Promise<Opened>> = {
    NofxSaver: () => kept(true),
    'NofxSaver without a journal': () => kept(false),
  };
  const sqlite = peer<Sqlite>('@langchain/langgraph-checkpoint-sqlite');
  if (sqlite !== undefined) {
    makers.SqliteSaver = async () => {
      const saver = sqlite.SqliteSaver.fromConnString(join(folder, 'langgraph.sqlite'));
      saver.db.pragma('synchronous = FULL');
      return { saver, close: () => saver.db.close() };
    };
  }
  const times = { first: new Map<string, number[]>(), later: new Map<string, number[]>(), put: new Map<string, number[]>() };
  const note = (which: keyof typeof times, name: string, time: number) => {
    times[which].set(name, [...(times[which].get(name) ?? []), time]);
  };
  for (const make of Object.values(makers)) {
    const { saver, close } = await make();
    await grow(saver, 0, SUPERSTEPS, () => undefined);
    await close();
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, make] of Object.entries(makers)) {
      const { saver, close } = await make();
      note('first', name, await timed(() => saver.getTuple(THREAD)));
      note('later', name, await timed(() => saver.getTuple(THREAD)));
      await close();
    }
  }
  for (const [name, make] of Object.entries(makers)) {
    const { saver, close } = await make();
    await grow(saver, SUPERSTEPS, SUPERSTEPS, (time) => note('put', name, time));
    await close();
  }
  const told = { first: 'first getTuple after opening', later: 'the next getTuple', put: 'put' };
  console.log(`\nLangGraph: a thread of ${SUPERSTEPS} supersteps (redb)`);
  for (const [which, what] of Object.entries(told) as [keyof typeof times, string][]) {
    const medians = [...times[which]].map(([name, list]) => [`${what}, ${name}`, median(list)] as const);
    printed(new Map(medians), `${what}, SqliteSaver`, 'SqliteSaver');
  }
}

/** Puts supersteps of a conversation after the existing ones, each with the writes of a task. */
async function grow(saver: BaseCheckpointSaver, from: number, count: number, told: (time: number) => void): Promise<void> {
  let config: Awaited<ReturnType<BaseCheckpointSaver['put']>> = (await saver.getTuple(THREAD))?.config ?? THREAD;
  for (let step = from; step < from + count; step += 1) {
    const messages = Array.from({ length: step }, (_, at) => ({ role: at % 2 ? 'ai' : 'human', content: `message ${at} `.repeat(20) }));
    const channel_values = { messages, topic: 'lists', step };
    const channel_versions = { messages: step + 1, topic: 1, step: step + 1 };
    const checkpoint: Checkpoint = { ...emptyCheckpoint(), id: uuid6(step), channel_values, channel_versions };
    const changed = step === 0 ? channel_versions : { messages: step + 1, step: step + 1 };
    const before = config;
    told(await timed(async () => {
      config = await saver.put(before, checkpoint, { source: 'loop', step, parents: {} }, changed);
    }));
    await saver.putWrites(config, [['messages', messages.at(-1) ?? null], ['step', step + 1]], `task-${step}`);
  }
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await call();
  return performance.now() - started;
}
