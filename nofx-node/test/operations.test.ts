import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InOperation, Session } from '../dist/index';
import { ADA, api, messages, store } from './place';

test('what an operation does happens once, however often it is repeated and by whichever handle', async (t) => {
  const { workspace, another } = await store(t);
  const other = await another();
  const all = [workspace, other, workspace];
  const each = async <T>(id: string, call: (of: InOperation) => Promise<T>) => {
    const answers = await Promise.all(all.map((of) => call(of.operation(id))));
    answers.forEach((answer) => assert.deepEqual(answer, answers[0]));
    return answers[0] as T;
  };
  const session: Session = await each('begin', (of) => of.createSession({ agent: ADA, metadata: { n: 1 } }));
  assert.equal(await each('say', (of) => of.addMessages(session.id, messages(2))), 0);
  assert.equal(await each('say more', (of) => of.addMessage(session.id, { type: 'user', content: 'once' })), 2);
  const { task } = await each('task', (of) => of.startTask(session.id, 'sort'));
  await each('done', (of) => of.completeTask(session.id, task.id));
  const fork = await each('fork', (of) => of.restoreSession(session.id, { upTo: 2 }));
  await each('back', (of) => of.rewindSession(session.id, 2, { seen: 3 }));
  await each('note', (of) => of.appendTranscript('ada', 'line'));
  await each('agents', (of) => of.saveOrchestration({ id: 'm' }));
  await each('keyed', async (of) => (await of.openSession({ key: 'k', agent: ADA })).session.id);
  await each('gone', (of) => of.purgeLiveSession(fork.id));
  assert.equal((await workspace.summaries().all()).length, 2);
  assert.equal((await workspace.session(session.id))?.messages, 2);
  assert.equal((await workspace.tasks(session.id)).ended.length, 1);
  assert.equal((await workspace.orchestrationStats()).messages, 1);
  assert.equal((await workspace.transcript('ada'))?.split('line').length, 2);
});

test('operations are told apart by their ids, verbs and namespaces, and keep the order of the calls', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  void workspace.addMessage(id, { type: 'user', content: 'a' });
  void workspace.operation('x').addMessage(id, { type: 'user', content: 'b' });
  void workspace.addMessage(id, { type: 'user', content: 'c' });
  void workspace.operation('y').addMessage(id, { type: 'user', content: 'd' });
  void workspace.operation('x').addMessage(id, { type: 'user', content: 'another, but the same operation' });
  const contents = (await workspace.history(id).all()).map(({ message }) => message.content);
  assert.deepEqual(contents, ['a', 'b', 'c', 'd']);
  const elsewhere = await workspace.namespace('bots').operation('x').createSession({ agent: ADA });
  const here = await workspace.operation('x').createSession({ agent: ADA });
  assert.notEqual(elsewhere.id, here.id);
  // What is refused is not remembered.
  await assert.rejects(workspace.operation('z').renameSession('none', 'x'), api.NotFoundError);
  await assert.rejects(workspace.operation('z').addMessages(id, []), api.InvalidError);
  assert.equal(await workspace.operation('z').addMessages(id, messages(1)), 4);
  for (const bad of ['', 'é'.repeat(300), 'cut \ud83d', undefined, 7]) {
    assert.throws(() => workspace.operation(bad as never), api.InvalidError);
  }
});
