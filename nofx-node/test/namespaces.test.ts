import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, allRejected, api, messages, store } from './place';

test('each namespace has sessions, keys, agents and a log between agents of its own', async (t) => {
  const { workspace } = await store(t);
  const bots = workspace.namespace('bots');
  assert.deepEqual([workspace.namespaceName(), bots.namespaceName()], [null, 'bots']);
  const people = await workspace.openSession({ key: 'one', agent: ADA });
  const theirs = await bots.openSession({ key: 'one', agent: ADA });
  assert.deepEqual([theirs.created, theirs.session.id === people.session.id], [true, false]);
  await workspace.saveAgent({ ...ADA, name: 'of people' });
  await bots.saveAgent({ ...ADA, name: 'of bots' });
  await bots.addMessage(theirs.session.id, { type: 'user', content: 'bookkeeping' });
  void workspace.saveOrchestration({ id: 'p' });
  void bots.saveOrchestration({ id: 'b' });
  void workspace.saveOrchestration({ id: 'q' });

  assert.deepEqual((await workspace.summaries().all()).map(({ session }) => session.id), [people.session.id]);
  const listed = await bots.summaries().all();
  assert.deepEqual(listed.map(({ session, namespace }) => [session.id, namespace]), [[theirs.session.id, 'bots']]);
  assert.deepEqual((await workspace.search({ words: ['bookkeeping'] })).hits, []);
  assert.equal((await bots.search({ words: ['bookkeeping'] })).hits.length, 1);
  assert.equal((await workspace.agent('ada'))?.name, 'of people');
  assert.equal((await bots.agent('ada'))?.name, 'of bots');
  const between = async (of: typeof bots) => (await of.orchestrationHistory({ oldestFirst: true }).all()).map(({ id }) => id);
  assert.deepEqual([await between(workspace), await between(bots)], [['p', 'q'], ['b']]);
  assert.deepEqual((await bots.cleanup({ deleteAfterMs: 0 })).deleted, 0);
  assert.equal((await workspace.stats()).sessions, 2, 'statistics are about all');
});

test('a session of another namespace is not found, by every verb', async (t) => {
  const { workspace } = await store(t);
  const bots = workspace.namespace('bots');
  const { id } = await bots.createSession({ agent: ADA });
  assert.equal(await workspace.session(id), null);
  assert.equal(await workspace.namespace('cats').session(id), null);
  const calls: Promise<unknown>[] = [
    workspace.addMessage(id, { type: 'user', content: 'x' }),
    workspace.history(id).all(),
    workspace.renameSession(id, 'x'),
    workspace.archiveSession(id),
    workspace.purgeLiveSession(id),
    workspace.rewindSession(id, 0, { seen: 0 }),
    workspace.updateMetadata(id, { a: 1 }),
    workspace.restoreSession(id),
    workspace.startTask(id, 'x'),
    workspace.sessionWriter(id),
    workspace.exportJson(id),
    workspace.exportHtml(id),
  ];
  await allRejected(calls, api.NotFoundError);
  const [result] = await workspace.deleteSessions([id]);
  assert.ok(result?.error instanceof api.NotFoundError);
  const summary = await bots.session(id);
  assert.deepEqual([summary?.state, summary?.messages], ['active', 0]);
});

test('calls that are not awaited keep their order on each handle of a namespace', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.namespace('bots').createSession({ agent: ADA });
  const added = Array.from({ length: 50 }, (_, at) =>
    workspace.namespace('bots').addMessage(id, { type: 'user', content: `${at}` }),
  );
  assert.deepEqual(await Promise.all(added), Array.from({ length: 50 }, (_, at) => at));
  const contents = (await workspace.namespace('bots').history(id).all()).map(({ message }) => Number(message.content));
  assert.deepEqual(contents, Array.from({ length: 50 }, (_, at) => at));
});

test('a namespace goes on after its store was opened again, and closes with it', async (t) => {
  const { workspace, another } = await store(t);
  const bots = workspace.namespace('bots');
  const { id } = await bots.createSession({ agent: ADA });
  await workspace.close();
  await assert.rejects(bots.session(id), api.ClosedError);
  await workspace.reopen();
  assert.equal(await bots.addMessages(id, messages(1)), 0);
  await bots.close();
  await assert.rejects(workspace.stats(), api.ClosedError);
  const again = await another();
  assert.equal((await again.namespace('bots').session(id))?.messages, 1);
  for (const name of ['', 'Bots', 'a/b', 'x'.repeat(65), '\ud83d', undefined, 7]) {
    assert.throws(() => again.namespace(name as never), api.InvalidError);
  }
});
