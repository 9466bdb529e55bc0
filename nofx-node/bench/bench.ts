// The cost of the addon, compared with the same work without it. All in one run and in rounds; medians.
//
// better-sqlite3 and LangGraph's saver on it are included if they can be found: `npm run bench:peers` installs them.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as nofx from '../dist/index';
import { checkpoints } from './langgraph';
import { measured, peer, printed } from './measure';

const { open } = require('../dist/index.js') as typeof nofx;

const MESSAGES = 10_000;
const CALLS = 20_000;
const ADDED = 200;

const CODE = 'const sorted = [...list].sort((a, b) => a.rank - b.rank);\n';
const content = (at: number) => `message ${at}: "${CODE.repeat(20)}"`.slice(0, 900);

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'nofx-bench-'));
  try {
    await reading(folder);
    await calling(folder);
    await adding(folder);
    await checkpoints(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function reading(folder: string): Promise<void> {
  const workspace = await open(`redb:${join(folder, 'nofx.redb')}`);
  const session = await filled(workspace);
  // As people come back to it: closed, folded, opened again.
  await workspace.close();
  const again = await open(`redb:${join(folder, 'nofx.redb')}`);
  const entries = await again.history(session).all();
  const text = JSON.stringify(entries.map((entry) => entry.message));
  const lines = entries.map((entry) => JSON.stringify(entry.message));
  const sqlite = sqliteOf(folder, lines);

  const tasks: Record<string, () => unknown> = {
    'JSON.parse of one text': () => JSON.parse(text),
    'JSON.parse line by line': () => lines.map((line) => JSON.parse(line)),
    'addon, for await of entries': async () => {
      let count = 0;
      for await (const _ of again.history(session)) count += 1;
      return count;
    },
    'addon, all': async () => (await again.history(session).all()).length,
    'addon, pages of 256': async () => (await again.history(session, { pageSize: 256 }).all()).length,
    'addon, pages of 1,000': async () => (await again.history(session, { pageSize: 1000 }).all()).length,
    'addon, one page': async () => (await again.history(session, { pageSize: 10_000 }).all()).length,
    // One call would measure how cold the others left the processor.
    'addon, newest 50, twenty times': async () => {
      for (let at = 0; at < 20; at += 1) await again.tail(session, 50);
    },
    ...(sqlite && { 'better-sqlite3, rows and JSON.parse': sqlite }),
  };
  console.log(`reading ${entries.length} messages, ${(text.length / 1e6).toFixed(1)} MB of JSON (redb, ${megabytes(folder)} MB)`);
  printed(await measured(tasks), 'JSON.parse of one text', 'JSON.parse');
  await again.close();
}

async function calling(folder: string): Promise<void> {
  const workspace = await open('memory:');
  const { id } = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
  const one = async (call: () => Promise<unknown>) => {
    for (let at = 0; at < CALLS; at += 1) await call();
  };
  const all = (call: () => Promise<unknown>) => Promise.all(Array.from({ length: CALLS }, call));
  const agent = { id: 'ada', name: 'Ada', type: 'x' };
  const disk = await open(`redb:${join(folder, 'calls.redb')}`);
  const kept = await disk.createSession({ agent });
  const plain = await open(`redb:${join(folder, 'calls-plain.redb')}`, { journal: false });
  const alone = await plain.createSession({ agent });
  const message = { type: 'user', content: 'x'.repeat(500) };
  console.log(`\n${CALLS} calls`);
  const times = await measured(
    {
      'fs.promises.stat, one after the other': () => one(() => stat(folder)),
      'an empty question, one after the other': () => one(() => workspace.cursor()),
      'an empty question, all at once': () => all(() => workspace.cursor()),
      'a session, one after the other': () => one(() => workspace.session(id)),
      'a session, all at once': () => all(() => workspace.session(id)),
      'info, which is not awaited': () => {
        for (let at = 0; at < CALLS; at += 1) workspace.info();
      },
      'durable addMessage, all at once (redb)': () => all(() => disk.addMessage(kept.id, message)),
      'the same without a journal': () => all(() => plain.addMessage(alone.id, message)),
    },
    3,
  );
  for (const [name, time] of times) {
    const each = ((1000 * time) / CALLS).toFixed(1);
    console.log(`  ${name.padEnd(42)}${each.padStart(8)} us${Math.round((1000 * CALLS) / time).toLocaleString('en').padStart(12)} per second`);
  }
  await workspace.close();
  await disk.close();
  await plain.close();
}

/** The cost of calls that are not awaited: on one session, where they keep their order, and on as many sessions. */
async function adding(folder: string): Promise<void> {
  const agent = { id: 'ada', name: 'Ada', type: 'x' };
  const message = { type: 'user', content: 'x'.repeat(500) };
  const opened = await Promise.all([true, false].map((journal) => open(`redb:${join(folder, `adding-${String(journal)}.redb`)}`, { journal })));
  const tasks: Record<string, () => Promise<unknown>> = {};
  for (const [at, workspace] of opened.entries()) {
    const ids = await Promise.all(Array.from({ length: ADDED }, async () => (await workspace.createSession({ agent })).id));
    const [one = ''] = ids;
    const kind = at === 1 ? ', without a journal' : '';
    tasks[`on as many sessions${kind}`] = () => Promise.all(ids.map((id) => workspace.addMessage(id, message)));
    tasks[`on one session, in order${kind}`] = () => Promise.all(ids.map(() => workspace.addMessage(one, message)));
    tasks[`on one session, each awaited${kind}`] = async () => {
      for (let added = 0; added < ADDED; added += 1) await workspace.addMessage(one, message);
    };
  }
  console.log(`\n${ADDED} durable addMessage, not awaited unless it is said (redb)`);
  printed(await measured(tasks), 'on as many sessions', 'as many');
  await Promise.all(opened.map((workspace) => workspace.close()));
}

async function filled(workspace: nofx.Workspace): Promise<string> {
  const { id } = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'backend-specialist' } });
  for (let at = 0; at < MESSAGES; at += 500) {
    const messages = Array.from({ length: 500 }, (_, next) => ({
      type: next % 2 ? 'assistant' : 'user',
      content: content(at + next),
      metadata: { files: [`src/${at}.ts`] },
    }));
    await workspace.addMessages(id, messages);
  }
  return id;
}

/** The part of better-sqlite3 that is used. */
interface Database {
  pragma(text: string): void;
  exec(text: string): void;
  prepare(text: string): { run(...values: unknown[]): void; all(): unknown[] };
  transaction(run: () => void): () => void;
}

interface Row {
  position: number;
  body: string;
}

function sqliteOf(folder: string, lines: string[]): (() => unknown) | undefined {
  const Database = peer<new (file: string) => Database>('better-sqlite3');
  if (Database === undefined) {
    return undefined;
  }
  const database = new Database(join(folder, 'sqlite.db'));
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE message (position INTEGER PRIMARY KEY, body TEXT NOT NULL)');
  const insert = database.prepare('INSERT INTO message VALUES (?, ?)');
  database.transaction(() => lines.forEach((line, position) => insert.run(position, line)))();
  const select = database.prepare('SELECT position, body FROM message ORDER BY position');
  return () => (select.all() as Row[]).map(({ position, body }) => ({ position, message: JSON.parse(body) }));
}

function megabytes(folder: string): string {
  return (statSync(join(folder, 'nofx.redb')).size / 1e6).toFixed(1);
}

void main();
