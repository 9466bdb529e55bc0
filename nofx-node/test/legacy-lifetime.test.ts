import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { ADA, GRACE, host, inMemory, legacy, service, until } from './legacy-place';
import { api, folder, onWindows, open } from './place';

const CONFIG = { getOrchestrationHistoryLimit: () => 1000 };

test('constructors neither wait nor throw, and nothing is opened before it is needed', async () => {
  const root = folder();
  const { log, bus } = host();
  const made = [
    new legacy.UnifiedPersistenceService(root),
    new legacy.SessionPersistenceService({}, log, bus, root),
    new legacy.MessagePersistenceService(log, CONFIG, bus, root),
    new legacy.InMemoryMessagePersistenceService(log, CONFIG, bus),
    new legacy.PersistenceService({}, log, bus, root),
    new legacy.UnifiedPersistenceService('/proc/nowhere/\0'),
  ];
  new legacy.AgentPersistence(root, log);
  assert.deepEqual(readdirSync(root), []);
  await Promise.all(made.map((one) => one.dispose()));
  assert.deepEqual(readdirSync(root), [], 'nor for being disposed of');
});

test('a store is opened once for a folder, shared by every instance, and closed with its last user', async (t) => {
  const { service: first, root } = service(t);
  const second = new legacy.UnifiedPersistenceService(join(root, '..', basename(root)));
  const workspace = await first.workspace;
  assert.equal(await second.workspace, workspace);
  for (let at = 0; at < 20; at += 1) {
    await new legacy.AgentPersistence(root).saveAgentSession('a', `part ${at}`);
  }
  assert.match((await first.loadAgentSession('a')) ?? '', /part 0[^]*part 19$/);
  await first.dispose();
  assert.equal(await second.loadAgentSession('a'), await workspace.transcript('a'), 'still open');
  await second.dispose();
  await assert.rejects(workspace.stats(), api.ClosedError);
  const third = new legacy.UnifiedPersistenceService(root);
  assert.notEqual(await third.workspace, workspace);
  assert.match((await third.loadAgentSession('a')) ?? '', /part 19$/);
  await third.dispose();
});

test('a read that is under way when a service is disposed of is answered, and opens nothing again', async (t) => {
  const addon = require('../dist/addon.js') as { open: (location: string, options: string) => Promise<unknown> };
  const { open: opening } = addon;
  let opened = 0;
  addon.open = (...of) => {
    opened += 1;
    return opening(...of);
  };
  t.after(() => (addon.open = opening));
  const { service: one } = service(t);
  const { id } = await one.createAgentSession(ADA);
  for (let at = 0; at < 20; at += 1) {
    void one.addMessage(id, { type: 'user', content: `${at}` });
  }
  const reading = one.getSessionHistory(id);
  await one.dispose();
  assert.equal((await reading).length, 20);
  assert.equal(opened, 1);
});

test('what a class that is never disposed of has begun is finished before the store is closed', async (t) => {
  const { service: other, root } = service(t);
  const agents = new legacy.AgentPersistence(root);
  for (let at = 0; at < 5; at += 1) {
    await other.createAgentSession(ADA);
  }
  await agents.saveAgentState([ADA, GRACE]);
  const clearing = agents.clearAll();
  await new Promise((resolve) => setImmediate(resolve));
  await other.dispose();
  await clearing;
  const last = new legacy.UnifiedPersistenceService(root);
  assert.deepEqual(await last.loadAgentState(), []);
  await last.dispose();
});

test('a service that comes to an open store is told of sessions that end', async (t) => {
  const root = folder();
  const before = await open(`redb:${join(root, '.nofx', 'store', 'nofx.redb')}`);
  const { id } = await before.createSession({ agent: { ...ADA }, lifetimeMs: 1 });
  await before.close();
  await new legacy.AgentPersistence(root).loadAgentState();
  const { events } = service(t, {}, root);
  await until(() => events.length > 0);
  assert.deepEqual([...events], [{ what: 'session.expired', data: { sessionId: id, agentName: 'Ada' } }]);
});

test('agents can be kept by a class that is never disposed of, also after the store was closed', async () => {
  const root = folder();
  const other = new legacy.UnifiedPersistenceService(root);
  const agents = new legacy.AgentPersistence(root);
  await agents.saveAgentState([ADA]);
  const workspace = await other.workspace;
  const late = agents.saveAgentSession(ADA.id, 'under way');
  await other.dispose();
  await late;
  await assert.rejects(workspace.stats(), api.ClosedError);
  assert.equal((await agents.loadAgentState())[0]?.name, 'Ada');
  assert.match((await agents.loadAgentSession(ADA.id)) ?? '', /under way$/);
  const last = new legacy.UnifiedPersistenceService(root);
  await last.workspace;
  await last.dispose();
});

test('without a folder everything is in memory', async (t) => {
  const { service: one } = inMemory(t);
  const session = await one.createAgentSession(ADA);
  await one.addMessage(session.id, { type: 'user', content: 'kept' });
  assert.equal((await one.getSessionHistory(session.id))[0]?.content, 'kept');
  assert.equal((await one.workspace).info().backend, 'memory');
  assert.equal(await one.migrated(), undefined);
  await assert.rejects(one.archiveSessions('x'), api.InvalidError);
  await assert.rejects(one.exportSessionsAsMarkdown(), api.InvalidError);
  const { service: other } = inMemory(t);
  assert.deepEqual(await other.getSessionSummaries(), []);
});

test('with a folder the store is in it, and the old files are brought in at each opening', async (t) => {
  const root = folder();
  const nofx = join(root, '.nofx');
  const write = (agents: object[]) => writeFileSync(join(nofx, 'agents.json'), JSON.stringify({ version: '1.0', agents }));
  mkdirSync(nofx);
  write([{ id: 'old', name: 'Old', type: 'tester', status: 'idle', tasksCompleted: 1, createdAt: '2025-01-01T00:00:00.000Z' }]);
  const first = service(t, {}, root);
  assert.deepEqual((await first.service.loadAgentState()).map(({ id }) => id), ['old']);
  const report = await first.service.migrated();
  assert.equal(report?.complete, true);
  assert.match(report.text, /verified: the target has everything/);
  assert.ok(existsSync(first.store));
  await first.service.dispose();

  // An old window writes once more.
  mkdirSync(join(nofx, 'sessions'));
  writeFileSync(join(nofx, 'sessions', 'late_session.md'), '# Agent Session: late\n# Started: 2025-01-02T00:00:00.000Z\n\nhello');
  const second = service(t, {}, root);
  assert.match((await second.service.loadAgentSession('late')) ?? '', /hello$/);
  assert.deepEqual((await second.service.loadAgentState()).map(({ id }) => id), ['old']);
  await second.service.dispose();

  // It is retired: only the store stays.
  readdirSync(nofx).filter((name) => name !== 'store').forEach((name) => rmSync(join(nofx, name), { recursive: true }));
  const third = service(t, {}, root);
  assert.match((await third.service.loadAgentSession('late')) ?? '', /hello$/);
  assert.equal((await third.service.migrated())?.complete, true);
});

test('the host is told once that the store cannot be written, and calls say so', async (t) => {
  const root = folder();
  writeFileSync(join(root, '.nofx'), 'a file where the folder should be');
  const told: string[] = [];
  const { service: one, logged } = service(t, { onUnavailable: ({ code }) => void told.push(code) }, root);
  await assert.rejects(one.workspace, api.NofxError);
  await assert.rejects(one.createAgentSession(ADA), api.NofxError);
  await assert.rejects(one.saveAgentState([ADA]), api.NofxError);
  await assert.rejects(one.loadAgentState(), api.NofxError, 'an empty list would be saved');
  assert.deepEqual(await one.getActiveSessions(), []);
  assert.deepEqual(await one.getSessionSummaries(), []);
  assert.equal(told.length, 1);
  assert.equal(logged.filter(({ what }) => what.includes('nothing is stored')).length, 1);
  rmSync(join(root, '.nofx'));
  await one.saveAgentState([ADA]);
  assert.equal((await one.loadAgentState()).length, 1, 'it is tried again');
});

test('disposing waits for what was begun, in any order, twice; later calls are harmless and logged', async (t) => {
  const { service: one, root, logged } = service(t);
  const two = new legacy.SessionPersistenceService({}, undefined, undefined, root);
  const session = await one.createAgentSession(ADA);
  for (let at = 0; at < 300; at += 1) {
    void one.addMessage(session.id, { type: 'user', content: `${at}` });
  }
  const started = performance.now();
  await Promise.all([two.dispose(), one.dispose(), one.dispose(), two.dispose()]);
  assert.ok(performance.now() - started < 3000);

  await one.addMessage(session.id, { type: 'user', content: 'late' });
  await one.saveAgentState([ADA]);
  await one.completeTask(session.id, 'x');
  await one.clearAll();
  await one.save({ id: '1', timestamp: '', from: '', to: '', type: '' });
  assert.deepEqual(await one.getActiveSessions(), []);
  assert.deepEqual(await one.loadAgentState(), []);
  assert.equal(await one.migrated(), undefined);
  await assert.rejects(one.createAgentSession(ADA), api.ClosedError);
  await assert.rejects(one.workspace, api.ClosedError);
  const late = logged.filter(({ what }) => what.startsWith('warn') && what.endsWith('after disposal'));
  assert.equal(late.length, 10);

  const after = await open(`redb:${join(root, '.nofx', 'store', 'nofx.redb')}`);
  const messages = await after.history(session.id).all();
  assert.deepEqual(messages.map(({ message }) => message.content), Array.from({ length: 300 }, (_, at) => `${at}`));
  assert.deepEqual(await after.agents().all(), []);
  await after.close();
});

test('a store that never answers does not keep a service from being disposed of', async (t) => {
  const { service: one } = service(t);
  const { id } = await one.createAgentSession(ADA);
  const calls = require('../dist/calls.js') as { called: () => Promise<string[]> };
  const { called } = calls;
  t.after(() => (calls.called = called));
  calls.called = () => new Promise(() => undefined);
  void one.addMessage(id, { type: 'user', content: 'x' });
  const started = performance.now();
  await one.dispose();
  assert.ok(performance.now() - started < 3000);
});

test('a host that never answers does not keep a service from being disposed of', async (t) => {
  const { service: one } = service(t, { gitBranch: () => new Promise(() => undefined) });
  const begun = one.createAgentSession(ADA, 'somewhere');
  const started = performance.now();
  await one.dispose();
  assert.ok(performance.now() - started < 3000);
  assert.equal((await begun).gitBranch, undefined);
});

test('calls take effect in their order, awaited or not', async (t) => {
  const { service: one, root } = service(t);
  const session = await one.createAgentSession(ADA);
  const agents = new legacy.AgentPersistence(root);
  for (let at = 0; at < 50; at += 1) {
    void one.addMessage(session.id, { type: 'user', content: `${at}` });
    void agents.saveAgentState([{ ...ADA, tasksCompleted: at }, GRACE]);
    void one.saveAgent({ ...GRACE, tasksCompleted: at });
    void one.save({ id: `${at}`, timestamp: '2025-01-01T00:00:00.000Z', from: 'a', to: 'b', type: 't' });
    void agents.saveAgentSession(ADA.id, `${at}`);
  }
  void one.archiveSession(session.id);
  const [active, history, list, messages, text] = await Promise.all([
    one.getActiveSessions(),
    one.getSessionHistory(session.id),
    one.loadAgentState(),
    one.load(0, 1000),
    agents.loadAgentSession(ADA.id),
  ]);
  const numbers = Array.from({ length: 50 }, (_, at) => `${at}`);
  assert.deepEqual(active, []);
  assert.deepEqual(history.map(({ content }) => content), numbers);
  assert.deepEqual(list.map(({ id, tasksCompleted }) => [id, tasksCompleted]), [[ADA.id, 49], [GRACE.id, 49]]);
  assert.deepEqual(messages.map(({ id }) => id), [...numbers].reverse());
  assert.deepEqual(text?.split('\n').filter((line) => /^\d+$/.test(line)), numbers);
});

test('what is saved is what it was when it was saved', async (t) => {
  const { service: one } = service(t);
  const agent = { ...ADA, name: 'Before' };
  const message = { type: 'user' as const, content: 'before' };
  const { id } = await one.createAgentSession(agent);
  const saving = [one.saveAgentState([agent]), one.saveAgent({ ...GRACE, currentTask: agent }), one.addMessage(id, message)];
  agent.name = 'After';
  message.content = 'after';
  await Promise.all(saving);
  const [first, second] = await one.loadAgentState();
  assert.deepEqual([first?.name, (second?.currentTask as { name?: string }).name], ['Before', 'Before']);
  assert.equal((await one.getSessionHistory(id))[0]?.content, 'before');
});

test('a folder that was removed while the store was open does not stop the services', { skip: onWindows }, async (t) => {
  const { service: one, root } = service(t);
  await one.createAgentSession(ADA);
  type Ask = (answers: unknown, call: number, verb: string, request: string) => void;
  const { Handle } = require('../dist/addon.js') as { Handle: { prototype: { ask: Ask } } };
  const ask = Handle.prototype.ask;
  let before: unknown;
  const gone = { code: 'gone', message: 'the store is gone', nextStep: 'put the store back' };
  // As every backend reports it for a store that was open.
  Handle.prototype.ask = function (answers, call, verb, request) {
    before ??= this;
    if (this === before) {
      throw new Error(JSON.stringify(gone));
    }
    ask.call(this, answers, call, verb, request);
  };
  t.after(() => (Handle.prototype.ask = ask));
  rmSync(join(root, '.nofx'), { recursive: true });
  const session = await one.createAgentSession(GRACE);
  await one.addMessage(session.id, { type: 'user', content: 'again' });
  assert.deepEqual((await one.getSessionSummaries()).map(({ agentName }) => agentName), ['Grace']);
});

test('nothing of it needs the editor, nor more than the package offers', () => {
  const place = join(__dirname, '..', 'ts', 'legacy');
  for (const name of readdirSync(place)) {
    const source = readFileSync(join(place, name), 'utf8');
    const imported = [...source.matchAll(/^(?:import|export) [^;]*?from '([^']+)'/gms)].map(([, from]) => from);
    const allowed = imported.filter((from) => from === '../index' || from?.startsWith('./') || from?.startsWith('node:'));
    assert.deepEqual(imported, allowed, name);
    assert.doesNotMatch(source, /require\(|import\(/, name);
  }
});

test('a host that throws is not the services\' concern', async (t) => {
  const fails = () => {
    throw new Error('of the host');
  };
  const log = { debug: fails, info: fails, warn: fails, error: fails };
  const { service: one } = inMemory(t, { log, bus: { publish: fails }, gitBranch: fails });
  const session = await one.createAgentSession(ADA, 'here');
  await one.addMessage('unknown', { type: 'user', content: 'x' });
  await one.archiveSession(session.id);
  await until(() => true);
});
