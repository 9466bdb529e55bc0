import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ADA, api, messages, open, store } from './place';

/** The addon itself, below the TypeScript. */
interface Native {
  ask(answers: unknown, call: number, verb: string, request: string): void;
}

/** Counts the calls to the addon by verb, until the test is over. */
function counted(test: TestContext): Map<string, number> {
  const { Handle } = require('../dist/addon.js') as { Handle: { prototype: Native } };
  const ask = Handle.prototype.ask;
  const calls = new Map<string, number>();
  Handle.prototype.ask = function (answers, call, verb, request) {
    calls.set(verb, (calls.get(verb) ?? 0) + 1);
    ask.call(this, answers, call, verb, request);
  };
  test.after(() => (Handle.prototype.ask = ask));
  return calls;
}

test('messages that are not awaited keep the order of their calls and share commits', async (t) => {
  const { workspace } = await store(t);
  const calls = counted(t);
  for (let round = 0; round < 20; round += 1) {
    const { id } = await workspace.createSession({ agent: ADA });
    calls.clear();
    const positions = await Promise.all(
      Array.from({ length: 200 }, (_, at) => workspace.addMessage(id, { type: 'user', content: `${at}` })),
    );
    assert.deepEqual(positions, Array.from({ length: 200 }, (_, at) => at));
    const all = await workspace.history(id).all();
    assert.deepEqual(all.map((entry) => Number(entry.message.content)), positions);
    // The first starts at once, the others wait together while it is in flight.
    assert.equal(calls.get('addMessages'), 2);
  }
});

test('a message that is refused fails alone, and its neighbours keep their order', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const calls = Array.from({ length: 20 }, (_, at) =>
    at === 7
      ? workspace.addMessage(id, { content: 'without a type' } as never)
      : at === 11
        ? workspace.addMessages(id, [])
        : workspace.addMessage(id, { type: 'user', content: `${at}` }),
  );
  const ended = await Promise.allSettled(calls);
  for (const at of [7, 11]) {
    const call = ended[at];
    assert.ok(call?.status === 'rejected' && call.reason instanceof api.InvalidError, `call ${at}`);
  }
  assert.equal(ended.filter((call) => call.status === 'rejected').length, 2);
  const contents = (await workspace.history(id).all()).map((entry) => Number(entry.message.content));
  assert.deepEqual(contents, Array.from({ length: 20 }, (_, at) => at).filter((at) => at !== 7 && at !== 11));
});

test('large calls that wait do not become one that no batch can hold', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const content = 'x'.repeat(400_000);
  const calls = Array.from({ length: 10 }, () => workspace.addMessage(id, { type: 'user', content }));
  assert.deepEqual(await Promise.all(calls), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const many = Array.from({ length: 5 }, () => workspace.addMessages(id, messages(900)));
  assert.deepEqual(await Promise.all(many), [10, 910, 1810, 2710, 3610]);
});

test('what is changed last is what stays, of agents and of sessions', async (t) => {
  const { workspace } = await store(t);
  for (let round = 0; round < 50; round += 1) {
    const [id, other] = [`agent-${round}`, `other-${round}`];
    void workspace.saveAgent({ ...ADA, id, name: 'older' });
    void workspace.saveAgent({ ...ADA, id: other });
    void workspace.saveAgent({ ...ADA, id, name: 'newer' });
    const agents = await workspace.agents().all();
    assert.equal(agents.find((agent) => agent.id === id)?.name, 'newer');
    assert.ok(agents.some((agent) => agent.id === other));
  }
  const { id } = await workspace.createSession({ agent: ADA });
  const renamed = ['one', 'two', 'three'].map((name) => workspace.renameSession(id, name));
  assert.equal((await workspace.session(id))?.session.name, 'three');
  await Promise.all(renamed);
});

test('a call that reads a session sees the calls before it, and a later change waits for the earlier ones', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const added = [workspace.addMessage(id, { type: 'user', content: 'a' }), workspace.addMessages(id, messages(2))];
  const task = workspace.startTask(id, 'sort the list');
  const more = workspace.addMessage(id, { type: 'user', content: 'b' });
  const [history, tasks, text, page] = await Promise.all([
    workspace.history(id).all(),
    workspace.tasks(id),
    workspace.exportMarkdown(id),
    workspace.exportHtml(id),
  ]);
  assert.deepEqual(history.map((entry) => entry.message.content), ['a', 'hello 0', 'hello 1', 'b']);
  assert.equal(tasks.current?.title, 'sort the list');
  assert.match(text, /hello 1/);
  assert.match(page, /hello 1/);
  const fork = workspace.restoreSession(id);
  const behind = workspace.addMessage(id, { type: 'user', content: 'not in the fork' });
  const archived = workspace.archiveSession(id);
  const late = workspace.addMessage(id, { type: 'user', content: 'late' });
  await assert.rejects(late, /is archived/);
  assert.equal(await behind, 4);
  assert.equal((await archived).status, 'archived');
  assert.equal((await workspace.session((await fork).id))?.messages, 4);
  await Promise.all([...added, task, more]);
});

test('closing carries out what waits for its turn', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const calls: Promise<unknown>[] = [];
  for (let at = 0; at < 30; at += 1) {
    calls.push(workspace.addMessage(id, { type: 'user', content: `${at}` }), workspace.renameSession(id, `name ${at}`));
  }
  await workspace.close();
  await Promise.all(calls);
  await assert.rejects(workspace.addMessage(id, { type: 'user', content: 'late' }), api.ClosedError);
  const again = await open(location);
  t.after(() => again.close());
  const summary = await again.session(id);
  assert.deepEqual([summary?.messages, summary?.session.name], [30, 'name 29']);
});

test('what cannot be written as JSON is named, and nothing is half done', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const circle: Record<string, unknown> = { type: 'user', content: 'round' };
  circle['self'] = circle;
  const named = (name: string) => (error: unknown) => {
    assert.ok(error instanceof api.InvalidError, String(error));
    assert.match(error.message, new RegExp(`^invalid: \`${name}\` `));
    return true;
  };
  await assert.rejects(workspace.addMessage(id, circle as never), named('messages'));
  await assert.rejects(workspace.addMessages(id, undefined as never), named('messages'));
  await assert.rejects(workspace.addMessages(id, [undefined] as never), named('messages'));
  await assert.rejects(workspace.saveAgent({ ...ADA, large: 10n } as never), named('agent'));
  await assert.rejects(workspace.saveAgent(undefined as never), named('agent'));
  await assert.rejects(workspace.startTask(id, { title: 'x', tags: circle } as never), named('task'));
  assert.equal((await workspace.session(id))?.messages, 0);
  assert.deepEqual(await workspace.agents().all(), []);
});
