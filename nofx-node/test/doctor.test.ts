import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Progress } from '../dist/index';
import { ADA, api, folder, messages, open, store } from './place';

test('a store that is well has nothing to find, and is said to be read whole', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(300));
  await workspace.saveAgent(ADA);
  const told: Progress[] = [];
  const { entries, damaged, findings, records, logs } = await workspace.doctor({ onProgress: (progress) => told.push(progress) });
  assert.deepEqual({ entries, damaged, findings }, { entries: 300, damaged: 0, findings: [] });
  assert.ok(records >= 2 && logs >= 1, `${records} records and ${logs} logs`);
  assert.deepEqual(told.at(-1), { phase: 'entries', done: 300, total: null });
  const memory = await open('memory:');
  assert.deepEqual((await memory.doctor()).findings, []);
  await memory.close();
});

test('everything that is damaged is found, and all around it is read', async (t) => {
  const place = join(folder(), 'kept');
  const written = await open(`fs:${place}`);
  const { id } = await written.createSession({ agent: ADA });
  await written.addMessages(id, messages(50, 'text'));
  await written.saveAgents([ADA, { ...ADA, id: 'bob', name: 'Bob' }]);
  await written.close();
  const history = join(place, 'sessions/active', id, 'history.jsonl');
  writeFileSync(history, readFileSync(history, 'utf8').replace('text 10"', 'text 1o"'));

  const workspace = await open(`fs:${place}`, { create: false });
  t.after(() => workspace.close());
  const found = await workspace.doctor();
  assert.equal(found.damaged, found.findings.filter(({ damage }) => damage).length);
  assert.ok(found.damaged > 0 && found.findings.some(({ thing, what }) => `${thing} ${what}`.includes(id)), JSON.stringify(found));
  assert.equal(found.entries, 49);
});

test('reading all of a store is stopped by its signal and by a listener that throws', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  for (let at = 0; at < 20; at += 1) await workspace.addMessages(id, messages(1000));
  await assert.rejects(workspace.doctor({ signal: AbortSignal.abort(new Error('not now')) }), /not now/);
  const stop = new AbortController();
  const stopped = workspace.doctor({ signal: stop.signal });
  stop.abort();
  await assert.rejects(stopped, { name: 'AbortError' });
  const onProgress = () => {
    throw new RangeError('of the listener');
  };
  await assert.rejects(workspace.doctor({ onProgress }), /of the listener/);
  await assert.rejects(workspace.search({ words: ['hello'] }, { onProgress }), RangeError);
  assert.equal((await workspace.doctor()).entries, 20_000);
  await workspace.close();
  await assert.rejects(workspace.doctor(), api.ClosedError);
});
