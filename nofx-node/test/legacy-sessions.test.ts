import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import type { LegacySession } from '../dist/legacy/index';
import { ADA, ALL, inMemory, legacy, service, type Told, until } from './legacy-place';
import { allRejected, api, folder, messages, open } from './place';

const TASK = { title: 'sort', description: 'the list', priority: 'high', tags: ['a'], filesModified: [], commandsExecuted: [] } as const;
const task = () => ({ ...TASK, tags: [...TASK.tags], filesModified: [], commandsExecuted: [] });

test('a session has the shape that it had', async (t) => {
  const { service: one } = service(t, { gitBranch: async (at) => (at === '/work' ? 'main' : undefined) });
  const before = Date.now();
  const session = await one.createAgentSession(ADA, '/work');
  const { id, name, createdAt, lastActiveAt, expiresAt, ...rest } = session;
  assert.match(id, /^session-agent-1-ada-\d+/);
  assert.match(name, /^Ada - /);
  assert.ok(createdAt instanceof Date && createdAt.getTime() >= before - 1);
  assert.ok(lastActiveAt instanceof Date && expiresAt instanceof Date);
  assert.equal(expiresAt.getTime() - createdAt.getTime(), 5 * 60 * 60 * 1000);
  assert.deepEqual(rest, {
    agentId: ADA.id,
    agentName: 'Ada',
    agentType: 'backend-specialist',
    sessionDuration: 0,
    status: 'active',
    isClaudeSessionActive: true,
    conversationHistory: [],
    completedTasks: [],
    workingDirectory: '/work',
    gitBranch: 'main',
    template: ADA.template,
    templateId: 'backend-specialist',
    capabilities: ['rust'],
    systemPrompt: 'You write servers.',
    tasksCompleted: 0,
    totalOutputLines: 0,
  });
  const bare = await one.createAgentSession({ id: 'b', name: 'B', type: 't' });
  assert.equal(bare.systemPrompt, '');
  assert.ok(!('gitBranch' in bare) && !('template' in bare) && !('currentTask' in bare));
});

test('messages have dates, ids and what callers gave them', async (t) => {
  const { service: one } = inMemory(t);
  const { id } = await one.createAgentSession(ADA);
  await one.addMessage(id, { type: 'user', content: 'hello', metadata: { taskId: 't' } });
  await one.addMessage(id, { type: 'assistant', content: 'hi' });
  const [first, second] = await one.getSessionHistory(id);
  assert.ok(first?.timestamp instanceof Date && first.id.length > 0);
  assert.deepEqual([first.type, first.content, first.metadata], ['user', 'hello', { taskId: 't' }]);
  assert.deepEqual((await one.getSessionHistory(id, { newestFirst: true, limit: 1 }))[0], second);
  assert.deepEqual(await one.getSessionHistory('missing'), []);
});

test('tasks are begun and ended as they were', async (t) => {
  const { service: one, events } = inMemory(t);
  const { id } = await one.createAgentSession(ADA);
  const first = await one.startTask(id, task());
  const current = (await one.getActiveSession(ADA.id))?.currentTask;
  assert.ok(current?.assignedAt instanceof Date);
  assert.deepEqual([current.id, current.status, current.priority, current.tags], [first, 'in_progress', 'high', ['a']]);
  assert.deepEqual([current.filesModified, current.commandsExecuted], [[], []]);
  await one.completeTask(id, 'another');
  await one.completeTask('missing', first);
  await one.completeTask(id, first);
  await one.completeTask(id, first);
  const second = await one.startTask(id, task());
  await one.completeTask(id, second, false);
  const session = await one.getActiveSession(ADA.id);
  assert.deepEqual(session?.completedTasks.map(({ id, status }) => [id, status]), [[first, 'completed'], [second, 'failed']]);
  assert.ok(session?.completedTasks[0]?.completedAt instanceof Date);
  assert.deepEqual([session?.currentTask, session?.tasksCompleted], [undefined, 1]);
  const told = events.filter(({ what }) => what.startsWith('session.task.'));
  const duration = session?.completedTasks[0]?.duration;
  assert.deepEqual(told.slice(0, 2), [
    { what: 'session.task.started', data: { sessionId: id, taskId: first, taskTitle: 'sort' } },
    { what: 'session.task.completed', data: { sessionId: id, taskId: first, success: true, duration } },
  ]);
  assert.equal(told.length, 4, 'nothing is told of what did not happen');
});

test('what the old service was silent about is silent, and what it threw is thrown', async (t) => {
  const { service: one, logged, events } = inMemory(t);
  await one.addMessage('missing', { type: 'user', content: 'x' });
  await one.archiveSession('missing');
  await one.deleteSession('missing');
  await one.updateSession('missing', { name: 'x' });
  await one.completeTask('missing', 'x');
  assert.equal(logged.filter(({ what }) => what.startsWith('warn: Session missing not found')).length, 4);
  const thrown = [one.startTask('missing', task()), one.restoreSession('missing', ALL), one.exportSession('missing', 'json')];
  await allRejected(thrown, /Session missing not found/);
  assert.equal(await one.getActiveSession('missing'), null);
  assert.equal(await one.loadAgentSession('missing'), null);
  assert.equal(await one.getAgentContextSummary('missing'), '');
  const { id } = await one.createAgentSession(ADA);
  await one.archiveSession(id);
  await one.addMessage(id, { type: 'user', content: 'too late' });
  await assert.rejects(one.startTask(id, task()), api.InvalidError);
  assert.deepEqual(events.map(({ what }) => what), ['session.created', 'session.archived']);
});

test('everything is told by its old name with its old payload, once it is durable', async (t) => {
  const { service: one, events, store } = service(t);
  const created = await one.createAgentSession(ADA);
  const bus = events.push.bind(events);
  const durable: Promise<unknown>[] = [];
  events.push = (...told: Told[]) => {
    durable.push(open(`redb:${store}`).then(async (other) => {
      assert.equal((await other.history(created.id).all())[0]?.message.content, 'hello', told[0]?.what);
      await other.close();
    }));
    return bus(...told);
  };
  await one.addMessage(created.id, { type: 'user', content: 'hello' });
  const restored = await one.restoreSession(created.id, ALL);
  await one.archiveSession(created.id);
  await one.save({ id: 'm1', timestamp: '2025-01-01T00:00:00.000Z', from: 'a', to: 'b', type: 'status' });
  await one.clear();
  await Promise.all(durable);
  const [sessionId, agentName] = [created.id, 'Ada'];
  const cleaned = { filesRemoved: 1, messagesCleared: 1 };
  assert.deepEqual([...events], [
    { what: 'session.created', data: { sessionId, agentId: ADA.id, agentName } },
    { what: 'session.message.added', data: { sessionId, messageType: 'user' } },
    { what: 'session.restored', data: { originalSessionId: sessionId, newSessionId: restored.id, agentName } },
    { what: 'session.archived', data: { sessionId, agentName } },
    { what: 'orchestration.message.persisted', data: { messageId: 'm1', messageType: 'status', timestamp: '2025-01-01T00:00:00.000Z' } },
    { what: 'orchestration.message.storage.cleanup', data: cleaned },
    { what: 'storage.cleanup', data: cleaned },
  ]);
});

test('a session that ended while no window watched is told, and what the person chose is done', async (t) => {
  const root = folder();
  const at = `redb:${root}/.nofx/store/nofx.redb`;
  mkdirSync(dirname(at.slice('redb:'.length)), { recursive: true });
  const before = await open(at);
  const ended = [];
  for (const name of ['archived', 'restored', 'left']) {
    ended.push((await before.createSession({ agent: { ...ADA, name }, lifetimeMs: 1 })).id);
  }
  const soon = await before.createSession({ agent: { ...ADA, name: 'soon' }, lifetimeMs: 60_000 });
  await before.close();

  const asked: LegacySession[] = [];
  const choices: { [name: string]: 'archive' | 'restore' } = { archived: 'archive', restored: 'restore' };
  const onExpired = async (session: LegacySession) => {
    asked.push(session);
    return choices[session.agentName];
  };
  const { service: one, events } = service(t, { onExpired }, root);
  const view = new legacy.SessionPersistenceService({}, undefined, { publish: (what) => heard.push(what) }, root);
  const heard: string[] = [];
  await view.loadActiveSessions();
  await until(() => events.filter(({ what }) => /expir|archived|restored/.test(what)).length === 6);
  assert.equal(asked.length, 3);
  assert.deepEqual([asked[0]?.status, asked[0]?.isClaudeSessionActive], ['expired', false]);
  const told = (what: string) => events.filter((event) => event.what === what).map(({ data }) => data as { [name: string]: unknown });
  assert.deepEqual(new Set(told('session.expired').map(({ sessionId }) => sessionId)), new Set(ended));
  const expiresAt = new Date(soon.expiresAt ?? '');
  assert.deepEqual(told('session.expiry.warning'), [{ sessionId: soon.id, agentName: 'soon', expiresAt }]);
  assert.deepEqual(told('session.archived').map(({ agentName }) => agentName), ['archived']);
  assert.deepEqual(told('session.restored').map(({ agentName }) => agentName), ['restored']);
  assert.equal(heard.filter((what) => what === 'session.expired').length, 3, 'every service of the process is told');
  await view.dispose();
  assert.equal((await one.getSessionSummaries()).length, 5);
});

test('lists bring what they brought: the newest thousand of each, all of one', async (t) => {
  const { service: one } = service(t);
  const { id } = await one.createAgentSession(ADA);
  await (await one.workspace).addMessages(id, messages(1200));
  const [active] = await one.getActiveSessions();
  assert.equal(active?.conversationHistory.length, 1000);
  assert.deepEqual([active?.conversationHistory[0]?.content, active?.conversationHistory[999]?.content], ['hello 200', 'hello 1199']);
  assert.equal(active?.totalOutputLines, 1200);
  assert.equal((await one.getActiveSession(ADA.id))?.conversationHistory.length, 1200);
  assert.equal((await one.restoreSession(id, ALL)).conversationHistory.length, 1200);
  assert.equal((await one.createAgentSession(ADA)).conversationHistory.length, 0);
  assert.equal((await one.getSessionHistory(id)).length, 1200);
});

test('summaries are for people', async (t) => {
  const { service: one } = service(t);
  const { id } = await one.createAgentSession(ADA);
  const other = await one.createAgentSession({ ...ADA, id: 'other', name: 'Other' });
  const taskId = await one.startTask(id, task());
  await one.completeTask(id, taskId);
  await one.archiveSession(other.id);
  const summaries = await one.getSessionSummaries();
  const of = (id: string) => summaries.find(({ sessionId }) => sessionId === id);
  const { createdAt, lastActiveAt, name, ...rest } = of(id) ?? {};
  assert.ok(createdAt instanceof Date && lastActiveAt instanceof Date && name);
  assert.deepEqual(rest, {
    sessionId: id,
    agentId: ADA.id,
    agentName: 'Ada',
    agentType: 'backend-specialist',
    status: 'active',
    duration: '0m',
    tasksCompleted: 1,
    isRestorable: false,
    expiresIn: '4h 59m',
  });
  assert.deepEqual([of(other.id)?.status, of(other.id)?.isRestorable], ['archived', true], 'archived ones are listed');
});

test('restoring takes over what it is told to', async (t) => {
  const { service: one } = inMemory(t);
  const { id } = await one.createAgentSession(ADA, '/work');
  await one.addMessage(id, { type: 'user', content: 'hello' });
  await one.startTask(id, task());
  await one.archiveSession(id);
  const all = await one.restoreSession(id, ALL);
  assert.deepEqual([all.conversationHistory.length, all.currentTask?.title, all.workingDirectory], [1, 'sort', '/work']);
  assert.match(all.name, /^Restored: Ada/);
  assert.deepEqual([all.status, all.systemPrompt], ['active', 'You write servers.']);
  const bare = await one.restoreSession(id, { ...ALL, restoreConversationHistory: false, restoreCurrentTask: false });
  assert.deepEqual([bare.conversationHistory, bare.currentTask], [[], undefined]);
  const both = await one.restoreSessions([id, 'missing'], ALL);
  assert.ok(both[0] && 'conversationHistory' in both[0] && both[0].conversationHistory.length === 1);
  assert.ok(both[1] instanceof api.NofxError);
});

test('sessions are exported, renamed, and put into the trash', async (t) => {
  const { service: one } = inMemory(t);
  const { id } = await one.createAgentSession(ADA);
  await one.addMessage(id, { type: 'user', content: 'hello' });
  await one.updateSession(id, { name: 'Renamed', gitBranch: 'topic' });
  assert.equal((JSON.parse(await one.exportSession(id, 'json')) as { session: { name: string } }).session.name, 'Renamed');
  assert.match(await one.exportSession(id, 'markdown'), /hello/);
  assert.match(await one.exportSession(id, 'html'), /^<!doctype html>[^]*<p>hello/);
  const { agents, sessions } = await one.getStorageStats();
  assert.deepEqual([agents, sessions], [0, 1]);
  await one.deleteSession(id);
  assert.deepEqual(await one.getSessionSummaries(), []);
});

test('a cleanup does what its policy says and answers what it did', async (t) => {
  const { service: one, events } = inMemory(t);
  const ids: string[] = [];
  for (let at = 0; at < 3; at += 1) {
    ids.push((await one.createAgentSession(ADA)).id);
    await one.archiveSession(ids[at] ?? '');
  }
  const nothing = await one.cleanup();
  assert.deepEqual(nothing, { archive: [], delete: [], purge: [], orchestrationMessages: 0 });
  const done = await one.cleanup({ maxSessions: 1 });
  assert.equal(done.delete.length, 2);
  assert.equal((await one.getSessionSummaries()).length, 1);
  assert.ok(events.every(({ what }) => what !== 'storage.cleanup'));
});
