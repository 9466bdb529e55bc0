import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, allRejected, api, messages, open, store } from './place';

test('a session is created, filled, listed and read', async (t) => {
  const { workspace } = await store(t);
  const session = await workspace.createSession({ agent: ADA, name: 'Monday', workingDirectory: '/src' });
  assert.equal(session.name, 'Monday');
  assert.equal(session.agentId, 'ada');
  assert.equal(session.status, 'active');
  assert.equal(Object.keys(session).some((name) => name.startsWith('$')), false, 'the store keeps its own members');

  assert.equal(await workspace.addMessage(session.id, { type: 'user', content: 'sort  the\nlist' }), 0);
  assert.equal(await workspace.addMessages(session.id, messages(3)), 1);
  const summary = await workspace.session(session.id);
  assert.equal(summary?.messages, 4);
  assert.equal(summary?.preview, 'sort the list');
  assert.equal(summary?.state, 'active');

  const page = await workspace.summaryPage();
  assert.deepEqual(page.items, [summary]);
  assert.equal(page.next, null);
  assert.equal(await workspace.session('unknown'), null);
});

test('a list comes in pages and by filters', async (t) => {
  const { workspace } = await store(t);
  const bob = { ...ADA, id: 'bob', name: 'Bob' };
  for (let at = 0; at < 7; at += 1) {
    await workspace.createSession({ agent: at % 2 ? ADA : bob, name: `session ${at}` });
  }
  const names = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof workspace.summaryPage>> = await workspace.summaryPage({ limit: 3, after });
    names.push(...page.items.map((item) => item.session.name));
    after = page.next;
  } while (after);
  assert.equal(new Set(names).size, 7);

  const of = async (filter: object) => {
    const found = [];
    for await (const summary of workspace.summaries(filter)) found.push(summary.session.agentId);
    return found.length;
  };
  assert.equal(await of({ agent: 'ada' }), 3);
  assert.equal(await of({ status: 'archived' }), 0);
  assert.equal(await of({ text: 'SESSION 6' }), 1);
  assert.equal(await of({ activeSince: '2999-01-01T00:00:00.000Z' }), 0);
});

test('a session is archived and restored as a fork', async (t) => {
  const { workspace } = await store(t);
  const session = await workspace.createSession({ agent: ADA, name: 'Monday' });
  await workspace.addMessages(session.id, messages(3));
  assert.equal((await workspace.archiveSession(session.id)).status, 'archived');
  await assert.rejects(workspace.addMessages(session.id, messages(1)), (error) => {
    assert.ok(error instanceof api.InvalidError && error instanceof api.NofxError && error instanceof Error);
    assert.equal(error.code, 'invalid');
    assert.match(error.message, /is archived; restore it first/);
    assert.equal(error.nextStep, 'correct the request');
    assert.match(error.stack ?? '', /sessions\.test/);
    return true;
  });

  const restored = await workspace.restoreSession(session.id);
  assert.equal(restored.name, 'Restored: Monday');
  assert.equal(await workspace.addMessages(restored.id, messages(1, 'more')), 3);
  const all = await workspace.history(restored.id).all();
  assert.deepEqual(all.map((entry) => entry.message.content), ['hello 0', 'hello 1', 'hello 2', 'more 0']);
  assert.deepEqual(all.map((entry) => entry.position), [0, 1, 2, 3]);
  assert.equal((await workspace.session(restored.id))?.restoredFrom, session.id);
  assert.equal((await workspace.session(session.id))?.messages, 3);

  const empty = await workspace.restoreSession(session.id, { conversationHistory: false });
  assert.equal((await workspace.session(empty.id))?.messages, 0);
});

test('a session goes through the trash', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.deleteSession(id);
  assert.equal((await workspace.session(id))?.state, 'deleted');
  assert.equal((await workspace.summaryPage()).items.length, 0);
  assert.equal((await workspace.summaryPage({ trash: true })).items.length, 1);
  await workspace.undeleteSession(id);
  assert.equal((await workspace.summaryPage()).items.length, 1);
  await workspace.deleteSession(id);
  await workspace.purgeSession(id);
  assert.equal(await workspace.session(id), null);
});

test('a session is renamed, paused and resumed', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, lifetimeMs: 0 });
  assert.equal((await workspace.session(id))?.state, 'expired');
  assert.equal((await workspace.renameSession(id, 'Tuesday')).name, 'Tuesday');
  await workspace.pauseSession(id);
  assert.equal((await workspace.resumeSession(id)).status, 'active');
  assert.equal((await workspace.session(id))?.state, 'active');
});

test('a call on a session that is not there is told from one that can never work, and reading answers nothing', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.deleteSession(id);
  await workspace.purgeSession(id);
  const calls: Promise<unknown>[] = [
    workspace.addMessage(id, { type: 'user', content: 'x' }),
    workspace.sessionWriter(id),
    workspace.updateSession(id, { name: 'x' }),
    workspace.renameSession(id, 'x'),
    workspace.pauseSession(id),
    workspace.archiveSession(id),
    workspace.restoreSession(id),
    workspace.deleteSession(id),
    workspace.undeleteSession(id),
    workspace.purgeSession(id),
    workspace.startTask(id, 'x'),
    workspace.exportJson(id),
    workspace.exportHtml(id),
  ];
  await allRejected(calls, (error) => {
    assert.ok(error instanceof api.NotFoundError, String(error));
    assert.deepEqual([error.code, error.name, error.transient], ['not-found', 'NotFoundError', false]);
    assert.ok(error.message.includes(`not found: session \`${id}\``), error.message);
    return true;
  });
  assert.equal(await workspace.session(id), null);
});

test('what cannot be asked is named', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await assert.rejects(workspace.createSession({ agent: { id: '', name: '', type: '' } }), /the agent has no `id`/);
  await assert.rejects(workspace.addMessages(id, []), /`messages` is empty/);
  await assert.rejects(workspace.addMessage(id, { content: 'x' } as never), /a message has no `type`/);
  await assert.rejects(workspace.addMessage(id, { type: 'user' } as never), /a message has no `content`/);
  await assert.rejects(workspace.addMessage(id, { type: 'user', content: ['x'] } as never), /`content` of a message is \["x"\]; it must be text/);
  await workspace.addMessage(id, { type: 'user', content: '' });
  await assert.rejects(workspace.summaryPage({ limit: -1 }), /`limit` is -1, which is not valid/);
  await assert.rejects(open('nofx.redb'), api.InvalidError);
  await assert.rejects(open('tape:x'), /no backend for `tape:`/);
});
