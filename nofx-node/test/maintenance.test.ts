import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADA, api, folder, messages, open, store } from './place';

test('a store is repaired, and says what was done', async (t) => {
  const { workspace, location } = await store(t);
  await workspace.createSession({ agent: ADA });
  await workspace.close();
  assert.deepEqual(await api.repair(location), { repairs: [], losses: [] });
  const at = join(folder(), 'store');
  const files = await open(`fs:${at}`);
  await files.saveAgent(ADA);
  await files.close();
  writeFileSync(join(at, 'config.json'), '{ torn');
  const { repairs, losses } = await api.repair(`fs:${at}`);
  assert.ok(repairs.length > 0 && repairs.every(({ thing, what }) => thing && what), JSON.stringify(repairs));
  assert.deepEqual(losses, []);
  const again = await open(`fs:${at}`);
  assert.equal((await again.agent('ada'))?.name, 'Ada');
  await again.close();
  await assert.rejects(api.repair('memory:'), api.InvalidError);
  await assert.rejects(api.repair('fs:/nowhere/at/all'), api.NofxError);
});

test('only what cannot be read is forgotten', async () => {
  const at = join(folder(), 'store');
  const location = `fs:${at}`;
  const workspace = await open(location);
  await workspace.saveAgents([ADA, { ...ADA, id: 'bob' }]);
  await workspace.close();
  await assert.rejects(api.forget(location, [{ kind: 'agent', id: 'ada' }]), /can be read/);
  await assert.rejects(api.forget(location, [{ kind: 'agent', id: 'eve' }]), /lists no/);
  await assert.rejects(api.forget(location, [{ kind: 'agent' } as never]), /`id` is missing/);
  const file = join(at, 'agents', 'bob.json');
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, 20));
  const [forgotten] = await api.forget(location, [{ kind: 'agent', id: 'bob' }]);
  assert.match(forgotten?.what ?? '', /no longer lists it/);
  const again = await open(location);
  assert.deepEqual((await again.agents().all()).map(({ id }) => id), ['ada']);
  await again.close();
});

test('a store is made small', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(2000, 'much of the same '.repeat(50)));
  const path = location.slice('redb:'.length);
  assert.equal(await api.compact(location), true);
  // How large the file was before depends on how much of the journal had been applied to it.
  const { size } = statSync(path);
  assert.ok(size < 100_000, `${size} bytes`);
  assert.equal((await workspace.session(id))?.messages, 2000);
  assert.equal(await api.compact('memory:'), false);
  await assert.rejects(api.compact('redb:/nowhere/at/all'), api.NofxError);
});

test('what is free in a large store that was just filled is given back', async (t) => {
  const place = folder();
  const old = join(place, '.nofx', 'sessions');
  mkdirSync(old, { recursive: true });
  const at = '2025-01-02T03:04:05.000Z';
  // Text that hardly compresses, so that the store is too large to be compacted automatically.
  const noise = () => randomBytes(45_000).toString('base64');
  for (let n = 0; n < 20; n += 1) {
    const conversationHistory = Array.from({ length: 20 }, (_, m) => ({ id: `${n}-${m}`, timestamp: at, type: 'user', content: noise() }));
    const session = { id: `s${n}`, name: `S${n}`, agentId: 'ada', status: 'archived', createdAt: at, lastActiveAt: at, conversationHistory };
    writeFileSync(join(old, `s${n}.json`), JSON.stringify(session));
  }
  const path = join(place, 'store', 'nofx.redb');
  const workspace = await open(`redb:${path}`);
  t.after(() => workspace.close());
  const report = await workspace.migrate(join(place, '.nofx'));
  assert.equal(report.added['sessions'], 20);
  const copy = join(place, 'copy.redb');
  await workspace.backup(`redb:${copy}`);
  for (const store of [path, copy]) {
    const size = statSync(store).size;
    assert.ok(size > 16 << 20, `${store} has ${size} bytes, too few for this test`);
    // Giving back free space again finds next to nothing.
    await api.compact(`redb:${store}`);
    assert.ok(size < statSync(store).size * 1.25, `${store}: ${size} bytes, ${statSync(store).size} when compacted`);
  }
});
