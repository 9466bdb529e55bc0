import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Workspace } from '../dist/index';
import { ADA, api, open, store } from './place';

/** The addon itself, below the TypeScript. */
interface Native {
  ask(verb: string, request: string): Promise<string>;
}

/** Counts how often the addon is asked this from now on. */
function counted(verb: string): { asked: number; restore: () => void } {
  const { Handle } = require(join(__dirname, '../dist/addon.js')) as { Handle: { prototype: Native } };
  const ask = Handle.prototype.ask;
  const count = { asked: 0, restore: () => void (Handle.prototype.ask = ask) };
  Handle.prototype.ask = function (asked, request) {
    count.asked += asked === verb ? 1 : 0;
    return ask.call(this, asked, request);
  };
  return count;
}

test('a list of sessions is read a page ahead once a second page is asked for, and no further when it is left', async (t) => {
  const { workspace } = await store(t);
  const ids = await Promise.all(
    Array.from({ length: 500 }, async () => (await workspace.createSession({ agent: ADA })).id),
  );
  const size = (await workspace.summaryPage()).items.length;
  assert.ok(size * 4 <= ids.length, `${size} of a page`);

  const count = counted('sessionSummaries');
  t.after(count.restore);
  const seen = [];
  for await (const summary of workspace.summaries()) {
    seen.push(summary.session.id);
    if (seen.length === size) break;
  }
  assert.equal(count.asked, 1, 'who looks at one page pays for one');
  for await (const summary of workspace.summaries()) {
    seen.push(summary.session.id);
    if (seen.length === size + size + 1) break;
  }
  assert.equal(count.asked, 1 + 3, 'the third page is fetched while the second is looked at');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(count.asked, 1 + 3, 'nothing is read behind what is left');

  const all = new Set<string>();
  for await (const summary of workspace.summaries()) all.add(summary.session.id);
  assert.deepEqual([...all].sort(), [...ids].sort());
  const iterator = workspace.summaries();
  assert.equal((await iterator.next()).done, false);
  await iterator.return?.();
  assert.equal((await iterator.next()).done, true);
});

test('a list whose store is closed says so when its next page is asked for', async (t) => {
  const { workspace } = await store(t);
  await Promise.all(Array.from({ length: 500 }, () => workspace.createSession({ agent: ADA })));
  const seen = [];
  const read = async () => {
    for await (const summary of workspace.summaries()) {
      seen.push(summary);
      await workspace.close();
    }
  };
  await assert.rejects(read, api.ClosedError);
  assert.equal(seen.length > 0 && seen.length < 500, true);
});

test('a workspace is closed at the end of its block', { skip: typeof Symbol.asyncDispose !== 'symbol' }, async () => {
  let kept: Workspace | undefined;
  {
    await using workspace = await open('memory:');
    kept = workspace;
    assert.equal(await workspace.session('none'), null);
  }
  await assert.rejects(kept.session('none'), api.ClosedError);
});
