// What the addon costs, beside what the same work costs without it. All in one run and in rounds; medians.
//
// better-sqlite3 is compared with if it can be found: `npm run bench:peers` installs it.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as nofx from '../dist/index';

const { open } = require('../dist/index.js') as typeof nofx;

const ROUNDS = 9;
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
    'addon, newest 50': async () => (await again.tail(session, 50)).length,
    ...(sqlite && { 'better-sqlite3, rows and JSON.parse': sqlite }),
  };
  console.log(`reading ${entries.length} messages, ${(text.length / 1e6).toFixed(1)} MB of JSON (redb, ${megabytes(folder)} MB)`);
  const times = await measured(tasks);
  const parse = times.get('JSON.parse of one text') ?? 1;
  for (const [name, time] of times) {
    console.log(`  ${name.padEnd(38)}${time.toFixed(2).padStart(9)} ms${(time / parse).toFixed(2).padStart(8)} x JSON.parse`);
  }
  await again.close();
}

async function calling(folder: string): Promise<void> {
  const workspace = await open('memory:');
  const { id } = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
  const one = async (call: () => Promise<unknown>) => {
    for (let at = 0; at < CALLS; at += 1) await call();
  };
  const all = (call: () => Promise<unknown>) => Promise.all(Array.from({ length: CALLS }, call));
  const disk = await open(`redb:${join(folder, 'calls.redb')}`);
  const kept = await disk.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
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
    },
    3,
  );
  for (const [name, time] of times) {
    const each = ((1000 * time) / CALLS).toFixed(1);
    console.log(`  ${name.padEnd(42)}${each.padStart(8)} us${Math.round((1000 * CALLS) / time).toLocaleString('en').padStart(12)} per second`);
  }
  await workspace.close();
  await disk.close();
}

/** What calls cost that are not awaited: on one session, where they keep their order, and on as many sessions. */
async function adding(folder: string): Promise<void> {
  const workspace = await open(`redb:${join(folder, 'adding.redb')}`);
  const agent = { id: 'ada', name: 'Ada', type: 'x' };
  const ids = await Promise.all(Array.from({ length: ADDED }, async () => (await workspace.createSession({ agent })).id));
  const [one = ''] = ids;
  const message = { type: 'user', content: 'x'.repeat(500) };
  console.log(`\n${ADDED} durable addMessage that are not awaited (redb)`);
  const times = await measured({
    'on as many sessions': () => Promise.all(ids.map((id) => workspace.addMessage(id, message))),
    'on one session, in order': () => Promise.all(ids.map(() => workspace.addMessage(one, message))),
  });
  const many = times.get('on as many sessions') ?? 1;
  for (const [name, time] of times) {
    console.log(`  ${name.padEnd(38)}${time.toFixed(2).padStart(9)} ms${(time / many).toFixed(2).padStart(8)} x`);
  }
  await workspace.close();
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

/** Runs each task once per round, so that what disturbs one disturbs all; returns the median of each in milliseconds. */
async function measured(tasks: Record<string, () => unknown>, rounds = ROUNDS): Promise<Map<string, number>> {
  const times = new Map(Object.keys(tasks).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, task] of Object.entries(tasks)) {
      globalThis.gc?.();
      const started = performance.now();
      await task();
      times.get(name)?.push(performance.now() - started);
    }
  }
  const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

function sqliteOf(folder: string, lines: string[]): (() => unknown) | undefined {
  let Database;
  try {
    Database = require('better-sqlite3');
  } catch {
    console.log('better-sqlite3 is not installed, so it is not compared with');
    return undefined;
  }
  const database = new Database(join(folder, 'sqlite.db'));
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE message (position INTEGER PRIMARY KEY, body TEXT NOT NULL)');
  const insert = database.prepare('INSERT INTO message VALUES (?, ?)');
  database.transaction(() => lines.forEach((line, position) => insert.run(position, line)))();
  const select = database.prepare('SELECT position, body FROM message ORDER BY position');
  return () => select.all().map((row: { position: number; body: string }) => ({ position: row.position, message: JSON.parse(row.body) }));
}

function megabytes(folder: string): string {
  return (statSync(join(folder, 'nofx.redb')).size / 1e6).toFixed(1);
}

void main();
