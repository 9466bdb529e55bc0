import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADA, messages, store } from './place';

const LEGACY = join(__dirname, '../../samples/legacy/.nofx');

test('what is stopped before it begins does nothing and says why', async (t) => {
  const { workspace } = await store(t);
  const signal = AbortSignal.abort(new Error('not now'));
  await assert.rejects(workspace.migrate(LEGACY, { signal }), /not now/);
  await assert.rejects(workspace.search({ words: ['a'] }, { signal }), /not now/);
  await assert.rejects(workspace.cleanup({}, { signal }), /not now/);
  assert.equal((await workspace.stats()).sessions, 0);
});

test('a migration that is stopped on its way goes on when it is begun again', async (t) => {
  const { workspace } = await store(t);
  for (let round = 0; round < 5; round += 1) {
    const stop = new AbortController();
    const stopped = workspace.migrate(LEGACY, { signal: stop.signal });
    setTimeout(() => stop.abort(), round * 10);
    await stopped.then(
      (report) => assert.equal(report.complete, true),
      (error: unknown) => assert.equal((error as Error).name, 'AbortError', String(error)),
    );
  }
  const report = await workspace.migrate(LEGACY);
  assert.equal(report.complete, true, report.text);
  assert.match(report.text, /verified: the target has everything/);
});

test('a search that is stopped leaves the store as it is', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(2000, 'x'.repeat(1000)));
  const stop = new AbortController();
  const searched = workspace.search({ words: ['nothing that is there'] }, { signal: stop.signal });
  stop.abort();
  await assert.rejects(searched, { name: 'AbortError' });
  assert.equal((await workspace.search({ words: ['x 1999'] }, { signal: new AbortController().signal })).hits.length, 1);
});
