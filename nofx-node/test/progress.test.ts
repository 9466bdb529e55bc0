import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Progress } from '../dist/index';
import { ADA, folder, messages, store } from './place';

/** Records the reported progress. */
function noted(): { told: Progress[]; onProgress: (progress: Progress) => void } {
  const told: Progress[] = [];
  return { told, onProgress: (progress) => void told.push(progress) };
}

test('a search, a cleanup and a copy say how far they are, and at the end that all is done', async (t) => {
  const { workspace } = await store(t);
  for (let at = 0; at < 5; at += 1) {
    const { id } = await workspace.createSession({ agent: ADA, lifetimeMs: 0 });
    await workspace.addMessages(id, messages(10));
  }
  const searched = noted();
  assert.equal((await workspace.search({ words: ['hello'] }, searched)).hits.length, 50);
  assert.deepEqual(searched.told.at(-1), { phase: 'searching', done: 5, total: 5 });

  const copied = noted();
  await workspace.backup(`redb:${join(folder(), 'copy.redb')}`, copied);
  const last = copied.told.at(-1);
  assert.ok(last?.phase === 'copying' && last.done >= 50, JSON.stringify(last));

  const planned = noted();
  const plan = await workspace.cleanupPreview({ maxSessions: 2 }, planned);
  assert.deepEqual(planned.told.at(-1), { phase: 'planning', done: 5, total: 5 });
  const cleaned = noted();
  assert.equal((await workspace.cleanup({ maxSessions: 2 }, cleaned)).deleted, plan.delete.length);
  assert.deepEqual(cleaned.told.at(-1), { phase: 'cleaning', done: plan.delete.length, total: plan.delete.length });
});

test('two calls at once each say how far they are themselves', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(10));
  const [one, other] = [noted(), noted()];
  await Promise.all([workspace.search({ words: ['hello'] }, one), workspace.doctor(other)]);
  assert.deepEqual([one.told.at(-1)?.phase, other.told.at(-1)?.phase], ['searching', 'entries']);
});
