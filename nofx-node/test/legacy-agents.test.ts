import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { ADA, GRACE, inMemory, legacy, service } from './legacy-place';
import { api, folder, messages, open } from './place';

const LEGACY = join(__dirname, '../../samples/legacy/.nofx');

test('agents come back as they were and in the order in which they were saved', async (t) => {
  const { service: one } = service(t);
  const working = { ...ADA, currentTask: { id: 't', title: 'sort', createdAt: new Date('2025-01-01T00:00:00.000Z') } };
  await one.saveAgentState([working, GRACE]);
  const [ada, grace] = await one.loadAgentState();
  assert.deepEqual(ada, { ...ADA, currentTask: { id: 't', title: 'sort', createdAt: '2025-01-01T00:00:00.000Z' } });
  assert.deepEqual(grace, { ...GRACE, currentTask: null, tasksCompleted: 0 });
  await one.saveAgent({ id: 'a', name: 'Last', type: 't' });
  await one.saveAgent({ ...ADA, name: 'Renamed' });
  assert.deepEqual((await one.loadAgentState()).map(({ name }) => name), ['Renamed', 'Grace', 'Last']);
  await one.removeAgent(ADA.id);
  await one.removeAgent('unknown');
  assert.deepEqual((await one.loadAgentState()).map(({ name }) => name), ['Grace', 'Last']);
});

test('agents of the old folder come back in the order that they had there, and before those that are saved later', async (t) => {
  const root = folder();
  mkdirSync(join(root, '.nofx'));
  const old = ['c', 'a', 'b'].map((id, at) => ({ ...GRACE, id, startTime: undefined, createdAt: `2025-01-0${9 - at}T00:00:00.000Z` }));
  writeFileSync(join(root, '.nofx', 'agents.json'), JSON.stringify({ version: '1.0.0', agents: old }));
  const first = service(t, {}, root).service;
  assert.deepEqual((await first.loadAgentState()).map(({ id }) => id), ['c', 'a', 'b']);
  await first.saveAgent({ ...GRACE, id: 'later' });
  await first.saveAgent({ ...GRACE, id: 'a', name: 'Renamed' });
  await first.dispose();
  const second = service(t, {}, root).service;
  assert.deepEqual((await second.loadAgentState()).map(({ id }) => id), ['c', 'a', 'b', 'later']);
  assert.equal((await second.migrated())?.complete, true);
});

test('a list with an agent that cannot be read rejects, so that it is not saved without', async (t) => {
  const { service: one } = service(t);
  await one.saveAgentState([ADA, GRACE]);
  const workspace = await one.workspace;
  const unreadable = { id: '', name: '', type: '', unreadable: 'corrupt data in agent/x', code: 'corrupt' as const };
  workspace.agents = () => ({ all: async () => [unreadable] }) as never;
  await assert.rejects(one.loadAgentState(), { name: 'CorruptError', message: /agent\/x/ });
});

test('saving the list replaces it, all or nothing', async (t) => {
  const { service: one, store } = service(t);
  await one.saveAgentState([ADA, GRACE]);
  await one.saveAgentSession(ADA.id, 'stays');
  await assert.rejects(one.saveAgentState([GRACE, { id: '', name: 'No id', type: 't' }]), api.InvalidError);
  assert.deepEqual((await one.loadAgentState()).map(({ id }) => id), [ADA.id, GRACE.id], 'nothing half done');
  const other = await open(`redb:${store}`);
  t.after(() => other.close());
  const seen = new Set<string>();
  const saving = one.saveAgentState([{ ...GRACE, name: 'One' }, { ...GRACE, id: 'b', name: 'Two' }]);
  let over = false;
  void saving.finally(() => (over = true));
  while (!over) {
    seen.add((await other.agents().all()).map(({ name }) => name).sort().join());
  }
  await saving;
  seen.add((await other.agents().all()).map(({ name }) => name).sort().join());
  assert.deepEqual([...seen].filter((names) => !['Ada,Grace', 'One,Two'].includes(names)), []);
  assert.match((await one.loadAgentSession(ADA.id)) ?? '', /stays$/, 'what an agent wrote outlives it');
  await one.saveAgentState([]);
  assert.deepEqual(await one.loadAgentState(), []);
  const circle: { task?: object } = {};
  circle.task = circle;
  await assert.rejects(one.saveAgentState([{ ...ADA, currentTask: circle }]), api.InvalidError);
  await assert.rejects(one.saveAgent({ ...ADA, template: { n: 1n } }), api.InvalidError);
});

test('what agents wrote and what they are to be told', async (t) => {
  const { service: one } = inMemory(t);
  await one.saveAgentSession(ADA.id, 'first');
  await one.saveAgentSession(ADA.id, 'second', true);
  assert.match((await one.loadAgentSession(ADA.id)) ?? '', /^# Agent Session: agent-1-ada\n# Started: .*Z\n\nfirst\n\n--- .*Z ---\nsecond$/);
  assert.match(await one.getAgentContextSummary(ADA.id), /first\nsecond$/);
  await one.saveAgentSession(ADA.id, 'again', false);
  assert.match((await one.loadAgentSession(ADA.id)) ?? '', /\n\nagain$/);
  await one.saveConversationCheckpoint(ADA.id, 'question', 'answer');
  assert.equal((await (await one.workspace).checkpoints(ADA.id))[0]?.user, 'question');
});

test('clearing removes everything for good, and the same agents go on', async (t) => {
  const root = folder();
  cpSync(LEGACY, join(root, '.nofx'), { recursive: true });
  const first = service(t, {}, root);
  const one = first.service;
  assert.ok((await one.getSessionSummaries()).length > 10);
  const old = await one.loadAgentState();
  const session = await one.createAgentSession(ADA);
  await one.addMessage(session.id, { type: 'user', content: 'hello' });
  await one.restoreSession(session.id, { restoreConversationHistory: true } as never);
  await one.deleteSession(session.id);
  await one.saveAgentState([...old, ADA]);
  await one.saveAgentSession('not in the list', 'an orphan');
  const transcripts = readdirSync(join(LEGACY, 'sessions')).filter((name) => name.endsWith('_session.md'));
  const writers = transcripts.map((name) => basename(name, '_session.md'));
  assert.ok(writers.length > 0 && (await one.loadAgentSession(writers[0] ?? '')) !== null);
  await one.saveConversationCheckpoint(ADA.id, 'q', 'a');
  await one.save({ id: 'm', timestamp: '2025-01-01T00:00:00.000Z', from: 'a', to: 'b', type: 't' });

  const empty = async (of: typeof one, when: string) => {
    assert.deepEqual(await of.loadAgentState(), [], when);
    assert.deepEqual(await of.getSessionSummaries(), [], when);
    assert.deepEqual(await of.load(), [], when);
    const workspace = await of.workspace;
    const { trash, templates, sessions } = await workspace.stats();
    assert.deepEqual({ trash, templates, sessions }, { trash: 0, templates: 0, sessions: 0 }, when);
    for (const agent of [...writers, ADA.id, 'not in the list']) {
      assert.equal(await of.loadAgentSession(agent), null, `${agent} ${when}`);
      assert.deepEqual(await workspace.checkpoints(agent), [], `${agent} ${when}`);
    }
  };
  await one.clearAll();
  await empty(one, 'after it');
  await one.clearAll();

  for (const agent of [ADA.id, writers[0] ?? '']) {
    await one.saveAgentSession(agent, 'a new one');
    await one.saveConversationCheckpoint(agent, 'new', 'a');
    assert.match((await one.loadAgentSession(agent)) ?? '', /\n\na new one$/);
    assert.equal((await (await one.workspace).checkpoints(agent)).length, 1);
  }
  await one.saveAgentState([ADA]);
  const again = await one.createAgentSession(ADA);
  await one.addMessage(again.id, { type: 'user', content: 'goes on' });
  assert.equal((await one.getActiveSessions()).length, 1);

  await one.clearAll();
  await one.dispose();
  const second = service(t, {}, root);
  await empty(second.service, 'and the old files are not brought in again');
  assert.equal((await second.service.migrated())?.complete, true, 'nor missed');
  assert.deepEqual(second.logged.filter(({ what }) => /^(warn|error)/.test(what)), []);
});

test('clearing stands between the calls before it and those after it', async (t) => {
  const { service: one } = service(t);
  const calls = [
    one.createAgentSession(ADA),
    one.saveAgentState([ADA]),
    one.clearAll(),
    one.saveAgentState([GRACE]),
    one.createAgentSession(GRACE),
  ];
  const names = (await one.getSessionSummaries()).map(({ agentName }) => agentName);
  assert.deepEqual(names, ['Grace']);
  assert.deepEqual((await one.loadAgentState()).map(({ name }) => name), ['Grace']);
  await Promise.all(calls);
});

test('an archive is a copy of the store that later openings leave alone', async (t) => {
  const { service: one, root } = service(t);
  const { id } = await one.createAgentSession(ADA);
  await (await one.workspace).addMessages(id, messages(3));
  const place = await one.archiveSessions('before-the-holidays');
  assert.equal(place, join(root, '.nofx', 'archives', 'before-the-holidays', 'store'));
  assert.equal(await one.archiveSessions('before-the-holidays'), join(root, '.nofx', 'archives', 'before-the-holidays-2', 'store'));
  for (const name of ['', '..', '../x', 'a/b', '.hidden']) {
    await assert.rejects(one.archiveSessions(name), api.InvalidError, name);
  }
  const copy = await open(`redb:${join(place, 'nofx.redb')}`, { readOnly: true });
  assert.equal((await copy.history(id).all()).length, 3);
  await copy.close();
  await one.dispose();
  const later = service(t, {}, root);
  const report = await later.service.migrated();
  assert.equal(report?.complete, true, report?.text);
  assert.doesNotMatch(report?.text ?? '', /nofx\.redb/);
  assert.ok(existsSync(place));
});

test('all agents are exported to a file in the folder', async (t) => {
  const { service: one, root } = service(t);
  await one.saveAgentState([ADA]);
  await one.saveAgentSession(ADA.id, 'what it wrote');
  const path = await one.exportSessionsAsMarkdown();
  assert.match(path, /\.nofx.export_\d+\.md$/);
  assert.ok(path.startsWith(root));
  assert.match(readFileSync(path, 'utf8'), /Ada[^]*what it wrote/);
});

test('the old classes have their old methods', async (t) => {
  const { root } = service(t);
  const config = { getOrchestrationHistoryLimit: () => 2 };
  const [agents, sessions] = [new legacy.AgentPersistence(root), new legacy.SessionPersistenceService({}, undefined, undefined, root)];
  const [files, memory] = [
    new legacy.MessagePersistenceService(undefined, config, undefined, root),
    new legacy.InMemoryMessagePersistenceService(undefined, config, undefined),
  ];
  const tip = new legacy.PersistenceService({}, undefined, undefined, root);
  t.after(() => Promise.all([sessions, files, memory, tip].map((one) => one.dispose())));

  await agents.saveAgentState([ADA, GRACE]);
  const [entry] = await agents.loadAgentState();
  assert.deepEqual([entry?.sessionFile, entry?.createdAt], ['agent-1-ada_session.md', '2025-09-08T14:10:00.000Z']);
  await tip.saveAgentState([{ ...GRACE, name: 'Changed' }]);
  const stored = await tip.loadAgentState();
  assert.deepEqual(stored.map(({ name, templateId }) => [name, templateId]), [['Ada', 'backend-specialist'], ['Changed', undefined]]);
  assert.ok(stored[0]?.createdAt instanceof Date);
  await tip.removeAgent(GRACE.id);
  assert.equal((await tip.getAgents()).length, 1);

  const session = await sessions.createSession(ADA, '/work');
  assert.equal(await tip.getActiveSession(), session.id);
  await tip.updateSession(session.id, { name: 'Renamed' });
  assert.equal((await sessions.getActiveSession(ADA.id))?.name, 'Renamed');
  assert.deepEqual((await tip.getSessionSummaries()).map(({ id }) => id), [session.id]);
  assert.equal((await tip.getActiveSessions()).length, 1);
  assert.deepEqual([await tip.restoreSession(session.id), await tip.restoreSession('unknown')], [true, false]);
  assert.equal(await tip.getAgentContextSummary('unknown'), undefined);
  await agents.archiveOldSessions();
  assert.equal((await sessions.getSessionSummaries()).filter(({ status }) => status === 'active').length, 2);

  for (const of of [files, memory]) {
    for (const id of ['1', '2', '3']) {
      await of.save({ id, timestamp: `2025-01-0${id}T00:00:00.000Z`, from: 'conductor', to: `agent-${id}`, type: 'status' });
    }
    assert.deepEqual((await of.load()).map(({ id }) => id), ['3', '2', '1']);
    assert.deepEqual((await of.getHistory()).map(({ id }) => id), ['3', '2'], 'as many as the configuration says');
    assert.deepEqual((await of.getHistory('agent-1', 'status')).map(({ id }) => id), ['1']);
    const to = new Date('2025-01-02T00:00:00.000Z');
    assert.deepEqual((await of.getHistory({ timeRange: { to } })).map(({ id }) => id), ['2', '1'], 'the upper bound is included');
    const bounded = { timeRange: { from: to, to: new Date(0) }, limit: 1, offset: 1 };
    assert.deepEqual((await of.getHistory(bounded)).map(({ id }) => id), ['2'], 'a bound of zero is none');
    assert.deepEqual(await of.getStats(), { totalMessages: 3, oldestMessage: new Date('2025-01-01T00:00:00.000Z') });
    await of.clear();
    const { totalMessages, oldestMessage } = await of.getStats();
    assert.ok(totalMessages === 0 && Date.now() - oldestMessage.getTime() < 60_000);
  }
  assert.equal(tip.clearAll(), undefined);
  assert.deepEqual(await agents.loadAgentState(), []);
});
