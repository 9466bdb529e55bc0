import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, api, store } from './place';

test('a task is started, and ends as it ends', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  assert.deepEqual(await workspace.tasks(id), { current: null, ended: [], unreadable: [] });
  const first = await workspace.startTask(id, 'sort the list');
  assert.equal(first.interrupted, null);
  assert.equal(first.task.status, 'in_progress');
  assert.equal((await workspace.tasks(id)).current?.id, first.task.id);
  assert.equal((await workspace.completeTask(id, first.task.id)).status, 'completed');

  const second = await workspace.startTask(id, { title: 'test it', priority: 'high', tags: ['\ud83d'] });
  const third = await workspace.startTask(id, { title: 'find out why', description: 'it fails' });
  assert.equal(third.interrupted?.id, second.task.id);
  assert.deepEqual(third.interrupted?.tags, ['\ud83d']);
  await workspace.failTask(id, third.task.id);
  const { current, ended } = await workspace.tasks(id);
  assert.equal(current, null);
  assert.deepEqual(ended.map((task) => task.status), ['completed', 'interrupted', 'failed']);
  assert.equal(Object.keys(ended[0] ?? {}).some((name) => name.startsWith('$')), false);

  await assert.rejects(workspace.completeTask(id, first.task.id), /is not the current task of session/);
  await assert.rejects(workspace.startTask(id, {} as never), /`title` is missing/);
  await assert.rejects(workspace.startTask('unknown', 'x'), api.NotFoundError);
});

test('tasks that ended are read a page at a time, the last one first', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const titles = Array.from({ length: 300 }, (_, at) => `task ${at}`);
  for (const title of titles) void workspace.startTask(id, title);
  const ended = await workspace.endedTasks(id).all();
  assert.deepEqual(ended.map(({ title }) => title), titles.slice(0, -1).reverse());
  assert.deepEqual([...ended].reverse(), (await workspace.tasks(id)).ended);
  const pages = [];
  for await (const page of workspace.endedTasks(id).pages()) pages.push(page.length);
  assert.ok(pages.length > 1, `${pages}`);
  assert.deepEqual(await workspace.endedTasks('none').all(), []);
});

test('a task that is put aside is told to who watches', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const after = await workspace.cursor();
  const { task } = await workspace.startTask(id, 'sort the list');
  await workspace.interruptTask(id, task.id);
  const { value } = await workspace.watch({ after }).next();
  const told = value?.events.filter((event) => event.task === task.id).map((event) => event.type);
  assert.deepEqual(told, ['session.task.started', 'session.task.interrupted']);
});

test('agents are saved as they are given and listed', async (t) => {
  const { workspace } = await store(t);
  const bob = { id: 'bob', name: 'Bob', type: 'tester', status: 'idle', tasksCompleted: 0, colour: '\ud83d' };
  await workspace.saveAgent(bob);
  await workspace.saveAgent({ ...ADA, id: 'ada' });
  assert.deepEqual((await workspace.agents().all()).map((agent) => agent.name), ['Ada', 'Bob']);
  assert.deepEqual((await workspace.agents().all())[1], bob);
  await assert.rejects(workspace.saveAgent({ id: '', name: '', type: '' }), /the agent has no `id`/);
});
