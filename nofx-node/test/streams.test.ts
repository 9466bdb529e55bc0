import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Workspace } from '../dist/index';
import { ADA, api, open, store } from './place';

/** The addon itself, below the TypeScript. */
interface Native {
  ask(answers: unknown, call: number, verb: string, request: string): void;
}

/** Counts how often the addon is asked this from now on. */
function counted(verb: string): { asked: number; restore: () => void } {
  const { Handle } = require(join(__dirname, '../dist/addon.js')) as { Handle: { prototype: Native } };
  const ask = Handle.prototype.ask;
  const count = { asked: 0, restore: () => void (Handle.prototype.ask = ask) };
  Handle.prototype.ask = function (answers, call, asked, request) {
    count.asked += asked === verb ? 1 : 0;
    ask.call(this, answers, call, asked, request);
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
  const iterator = workspace.summaries()[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).done, false);
  await iterator.return?.();
  assert.equal((await iterator.next()).done, true);
});

test('a page of messages is parsed while the next one is read', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, Array.from({ length: 30 }, (_, at) => ({ type: 'user', content: `message ${at}` })));
  const { Handle } = require(join(__dirname, '../dist/addon.js')) as { Handle: { prototype: { history(...given: unknown[]): void } } };
  const [{ history }, parse] = [Handle.prototype, JSON.parse];
  const steps: string[] = [];
  t.after(() => Object.assign(Handle.prototype, { history }) && Object.assign(JSON, { parse }));
  Handle.prototype.history = function (...given) {
    steps.push('read');
    history.apply(this, given);
  };
  JSON.parse = (text: string, ...rest) => {
    if (text.startsWith('[{"messages"')) steps.push('parse');
    return parse(text, ...rest) as unknown;
  };
  assert.equal((await workspace.history(id, { pageSize: 12 }).all()).length, 30);
  assert.deepEqual(steps, ['read', 'read', 'parse', 'read', 'parse', 'parse']);
});

test('callers of an iterator that do not wait for each other get each item once, in order', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, Array.from({ length: 30 }, (_, at) => ({ type: 'user', content: `message ${at}` })));
  const iterator = workspace.history(id, { pageSize: 7 })[Symbol.asyncIterator]();
  const given = await Promise.all(Array.from({ length: 33 }, () => iterator.next()));
  assert.deepEqual(given.map(({ value }) => value?.position), [...Array(30).keys(), undefined, undefined, undefined]);
  assert.deepEqual(given.map(({ done }) => done), [...Array<boolean>(30).fill(false), true, true, true]);
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

test('agents, templates and messages between agents are read a page ahead, each once, and no further when they are left', async (t) => {
  const { workspace } = await store(t);
  const names = Array.from({ length: 700 }, (_, at) => `a${String(at).padStart(3, '0')}`);
  await workspace.saveAgents(names.map((id) => ({ ...ADA, id })));
  await workspace.saveOrchestrations(names.map((id) => ({ id, type: Number(id.slice(1)) % 100 ? 'usual' : 'rare' })));
  for (const id of names.slice(0, 150)) await workspace.saveTemplate({ id, systemPrompt: id });

  const lists = [
    { verb: 'agents', list: () => workspace.agents(), ids: names },
    { verb: 'templates', list: () => workspace.templates(), ids: names.slice(0, 150) },
    { verb: 'orchestrationHistory', list: () => workspace.orchestrationHistory({ oldestFirst: true }), ids: names },
    { verb: 'orchestrationHistory', list: () => workspace.orchestrationHistory(), ids: [...names].reverse() },
  ];
  for (const { verb, list, ids } of lists) {
    assert.deepEqual((await list().all()).map(({ id }) => id), ids);
    const count = counted(verb);
    for await (const page of list().pages()) {
      assert.ok(page.length < ids.length);
      break;
    }
    for await (const { id } of list()) {
      assert.equal(id, ids[0]);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    count.restore();
    assert.equal(count.asked, 2, `${verb}: who looks at one page pays for one`);
  }
  const rare = await workspace.orchestrationHistory({ type: 'rare', offset: 1, limit: 3 }).all();
  assert.deepEqual(rare.map(({ id }) => id), ['a500', 'a400', 'a300']);
  assert.deepEqual(await workspace.orchestrationHistory({ offset: 700 }).all(), []);
  const some = await workspace.orchestrationHistory({ offset: 5, limit: 300 }).all();
  assert.deepEqual([some.length, some[0]?.id, some.at(-1)?.id], [300, 'a694', 'a395']);
});

test('messages between agents that come and go while they are read move no others', async (t) => {
  const { workspace } = await store(t);
  const saved = Array.from({ length: 600 }, (_, at) => ({ id: `${at}` }));
  await workspace.saveOrchestrations(saved);
  const seen = [];
  for await (const { id } of workspace.orchestrationHistory()) {
    if (seen.push(id) % 100 === 0) await workspace.saveOrchestrations([{ id: 'later' }]);
  }
  assert.deepEqual(seen, saved.map(({ id }) => id).reverse());
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
