import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADA, api, folder, messages, open, store } from './place';

const BOB = { ...ADA, id: 'bob', name: 'Bob' };

test('agents are saved together, found, added up and removed', async (t) => {
  const { workspace } = await store(t);
  await workspace.saveAgents([ADA, { ...BOB, slot: 3 }]);
  await assert.rejects(workspace.saveAgents([{ ...ADA, name: 'Changed' }, { name: 'Nameless' } as never]), /no `id`/);
  assert.deepEqual(await workspace.agent('ada'), ADA, 'all or none');
  assert.deepEqual(await workspace.agent('bob'), { ...BOB, slot: 3 });
  assert.equal(await workspace.agent('eve'), null);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(3));
  const { task } = await workspace.startTask(id, 'sort');
  await workspace.completeTask(id, task.id);
  const { lastActiveAt, ...totals } = await workspace.agentTotals('ada');
  assert.deepEqual(totals, { sessions: 1, messages: 3, tasksCompleted: 1, tasksFailed: 0, tasksInterrupted: 0 });
  assert.equal(lastActiveAt, (await workspace.session(id))?.lastActiveAt);
  assert.equal((await workspace.agentTotals('eve')).lastActiveAt, null);
  assert.equal(await workspace.removeAgent('bob'), true);
  assert.equal(await workspace.removeAgent('bob'), false);
  assert.deepEqual(await workspace.agents().all(), [ADA]);
});

test('members of an agent are changed, and others stay as they are', async (t) => {
  const { workspace } = await store(t);
  const template = { id: 'backend', systemPrompt: 'You write servers.' };
  await workspace.saveAgent({ ...ADA, slot: 3, $own: 1, template });
  assert.equal(await workspace.updateAgent('eve', { name: 'Eve' }), null);
  assert.deepEqual(await workspace.updateAgent('ada', { name: 'Ada L.', slot: null, deep: { $x: [1] } }), {
    ...ADA,
    name: 'Ada L.',
    $own: 1,
    deep: { $x: [1] },
    template,
  });
  const other = { id: 'backend', systemPrompt: 'You write clients.' };
  assert.deepEqual((await workspace.updateAgent('ada', { template: other }))?.['template'], other);
  assert.equal((await workspace.updateAgent('ada', { template: 'backend' }))?.['template'], 'backend');
  assert.equal((await workspace.updateAgent('ada', { template: null, $own: null }))?.['template'], undefined);
  assert.deepEqual(await workspace.agent('ada'), { ...ADA, name: 'Ada L.', deep: { $x: [1] } });
  await assert.rejects(workspace.updateAgent('ada', { id: 'eve' } as never), /`changes` has `id`/);
  for (let at = 0; at < 20; at += 1) void workspace.updateAgent('ada', { at });
  assert.equal((await workspace.agent('ada'))?.['at'], 19);
});

test('what happened is read from a cursor on and from as far back as is known', async (t) => {
  const { workspace } = await store(t);
  const cursor = await workspace.cursor();
  const { id } = await workspace.createSession({ agent: ADA });
  const since = await workspace.events(cursor);
  assert.deepEqual(since.events, [{ type: 'session.created', session: id }]);
  assert.deepEqual([since.gap, since.atEnd], [false, true]);
  assert.deepEqual((await workspace.events()).events.at(-1), { type: 'session.created', session: id });
  assert.deepEqual((await workspace.events(since.cursor)).events, []);
});

test('long contents that nothing names any more go, and what was removed for good is known to be', async (t) => {
  const { workspace } = await store(t);
  const ids = [];
  for (const letter of ['a', 'b']) {
    const { id } = await workspace.createSession({ agent: ADA });
    await workspace.addMessage(id, { type: 'tool', content: letter.repeat(100_000) });
    ids.push(id);
  }
  const [kept = '', gone = ''] = ids;
  assert.deepEqual(await workspace.sweepContents(), { removed: 0, kept: 2 });
  await workspace.deleteSession(gone);
  assert.equal(await workspace.isPurged(gone), false);
  await workspace.purgeSession(gone);
  assert.deepEqual([await workspace.isPurged(gone), await workspace.isPurged(kept)], [true, false]);
  assert.deepEqual(await workspace.sweepContents(), { removed: 1, kept: 1 });
  assert.equal((await workspace.tail(kept, 1))[0]?.message.content?.length, 100_000);
});

test('agents that are saved together stand behind those saved before and before those saved later', async (t) => {
  const { workspace } = await store(t);
  for (let round = 0; round < 20; round += 1) {
    void workspace.saveAgent({ ...ADA, round, by: 'first' });
    void workspace.saveAgents([{ ...ADA, round, by: 'second' }, { ...BOB, round, by: 'second' }]);
    void workspace.saveAgent({ ...BOB, round, by: 'third' });
    const by = (await workspace.agents().all()).map((agent) => [agent.id, agent['by'], agent['round']]);
    assert.deepEqual(by, [['ada', 'second', round], ['bob', 'third', round]]);
  }
});

test('a transcript grows in the order of the calls and begins again', async (t) => {
  const { workspace } = await store(t);
  assert.equal(await workspace.transcript('ada'), null);
  assert.equal(await workspace.contextSummary('ada'), null);
  void workspace.beginTranscript('ada', 'old');
  void workspace.beginTranscript('ada', 'first');
  for (let at = 0; at < 20; at += 1) {
    void workspace.appendTranscript('ada', `line ${at}`);
  }
  const text = (await workspace.transcript('ada')) ?? '';
  assert.match(text, /^# Agent Session: ada\n/);
  assert.ok(!text.includes('old') && text.includes('first'));
  const lines = [...text.matchAll(/^line (\d+)$/gm)].map((found) => Number(found[1]));
  assert.deepEqual(lines, Array.from({ length: 20 }, (_, at) => at));
  assert.match((await workspace.contextSummary('ada')) ?? '', /line 19$/);
});

test('checkpoints are kept and the newest are read', async (t) => {
  const { workspace } = await store(t);
  for (let at = 0; at < 5; at += 1) {
    void workspace.saveCheckpoint('ada', `ask ${at}`, `answer ${at}`);
  }
  const newest = await workspace.checkpoints('ada', 2);
  assert.deepEqual(newest.map(({ user, agent }) => [user, agent]), [['ask 3', 'answer 3'], ['ask 4', 'answer 4']]);
  assert.equal((await workspace.checkpoints('ada')).length, 5);
});

test('a template is found by its name and each of its contents by its digest', async (t) => {
  const { workspace } = await store(t);
  const [old, recent] = [{ id: 'backend', systemPrompt: 'old' }, { id: 'backend', systemPrompt: 'new' }];
  const digest = await workspace.saveTemplate(old);
  await workspace.saveTemplate(recent);
  assert.deepEqual(await workspace.template('backend'), recent);
  assert.deepEqual(await workspace.templateContent(digest), old);
  assert.deepEqual(await workspace.templates().all(), [recent]);
  assert.equal(await workspace.removeTemplate('backend'), true);
  assert.deepEqual([await workspace.template('backend'), await workspace.removeTemplate('backend')], [null, false]);
  assert.deepEqual(await workspace.templateContent(digest), old);
});

test('messages between agents keep the order of the calls and are filtered', async (t) => {
  const { workspace } = await store(t);
  const saved = Array.from({ length: 100 }, (_, at) =>
    workspace.saveOrchestration({ id: `${at}`, type: at % 2 ? 'odd' : 'even', from: 'ada', to: 'bob', payload: { at } }),
  );
  const all = await workspace.orchestrationHistory({ oldestFirst: true }).all();
  assert.deepEqual(all.map((message) => message.id), saved.map((_, at) => `${at}`));
  const odd = await workspace.orchestrationHistory({ type: 'odd', offset: 1, limit: 2 }).all();
  assert.deepEqual(odd.map((message) => message.payload), [{ at: 97 }, { at: 95 }]);
  assert.equal((await workspace.orchestrationStats()).messages, 100);
  void workspace.saveOrchestration({ id: 'before' });
  void workspace.clearOrchestration();
  void workspace.saveOrchestration({ id: 'after' });
  assert.deepEqual((await workspace.orchestrationHistory().all()).map((message) => message.id), ['after']);
  await assert.rejects(workspace.saveOrchestrations([]), api.InvalidError);
});

test('several sessions are put away and come back, with a result each', async (t) => {
  const { workspace } = await store(t);
  const ids = await Promise.all([0, 1, 2].map(async () => (await workspace.createSession({ agent: ADA })).id));
  const pending = ids.map((id) => workspace.addMessage(id, { type: 'user', content: 'before' }));
  const archived = await workspace.archiveSessions([...ids, 'none']);
  await Promise.all(pending);
  assert.deepEqual(archived.map((result) => result.ok?.status), ['archived', 'archived', 'archived', undefined]);
  const error = archived[3]?.error;
  assert.ok(error instanceof api.NotFoundError && error.nextStep.length > 0, String(error));
  const restored = await workspace.restoreSessions(ids.slice(0, 1), { conversationHistory: false });
  assert.ok(restored[0]?.ok !== undefined);
  assert.equal((await workspace.session(restored[0].ok.id))?.messages, 0);
  await workspace.deleteSessions(ids);
  await workspace.undeleteSessions(ids.slice(0, 1));
  const purged = await workspace.purgeSessions(ids);
  assert.deepEqual(purged.map((result) => result.ok), [undefined, null, null]);
  assert.deepEqual(await workspace.session(ids[1] ?? ''), null);
});

test('what is known of a session is changed, and only that', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, systemPrompt: 'be brief' });
  assert.equal(await workspace.systemPrompt(id), 'be brief');
  const changed = await workspace.updateSession(id, { gitBranch: 'main', capabilities: ['write'], systemPrompt: 'be long' });
  assert.deepEqual([changed.gitBranch, changed['capabilities']], ['main', ['write']]);
  assert.equal(await workspace.systemPrompt(id), 'be long');
  await assert.rejects(workspace.updateSession(id, { status: 'archived' } as never), /`changes` has `status`/);
});

test('a session is exported and imported as it was', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, name: 'Monday' });
  void workspace.addMessages(id, messages(3));
  const text = await workspace.exportJson(id);
  const copy = await workspace.importSession(text, { newId: true });
  assert.notEqual(copy.id, id);
  assert.deepEqual(
    (await workspace.history(copy.id).all()).map((entry) => entry.message),
    (await workspace.history(id).all()).map((entry) => entry.message),
  );
  await assert.rejects(workspace.importSession('{}'), api.InvalidError);
  const other = await open('memory:');
  assert.equal((await other.importSession(text)).id, id);
  await other.close();
  await workspace.saveAgent(ADA);
  assert.match(await workspace.exportAgentsMarkdown(), /## Ada/);
});

test('a cleanup does what its preview says, and the store tells how much it holds', async (t) => {
  const { workspace } = await store(t);
  for (const name of ['a', 'b', 'c']) {
    const { id } = await workspace.createSession({ agent: ADA, name });
    await workspace.pauseSession(id);
    if (name !== 'a') await workspace.archiveSession(id);
  }
  await workspace.saveTemplate({ id: 'backend' });
  const { orchestration, ...stats } = await workspace.stats();
  assert.deepEqual(stats, { agents: 0, sessions: 3, active: 0, archived: 2, trash: 0, templates: 1 });
  assert.deepEqual(orchestration, await workspace.orchestrationStats());
  const preview = await workspace.cleanupPreview({ maxSessions: 1 });
  const done = await workspace.cleanup({ maxSessions: 1 });
  assert.deepEqual(done, { archived: 0, deleted: preview.delete.length, purged: 0, orchestrationMessages: 0, left: [] });
  assert.ok(done.deleted > 0);
  assert.equal((await workspace.stats()).trash, done.deleted);
});

test('a list of agents is replaced, and its templates are kept once', async (t) => {
  const { workspace } = await store(t);
  const template = { id: 'backend', name: 'Backend', systemPrompt: 'You write servers.' };
  const grace = { id: 'grace', name: 'Grace', type: 'tester', template };
  await workspace.saveAgents([ADA, grace]);
  await workspace.replaceAgents([{ ...ADA, template }, { id: 'alan', name: 'Alan', type: 'tester', template: 'backend' }]);
  const listed = await workspace.agents().all();
  assert.deepEqual(listed.map(({ id, template }) => [id, template]), [['ada', template], ['alan', 'backend']]);
  assert.equal((await workspace.stats()).templates, 0, 'an agent does not say which content is the newest');
  const session = await workspace.createSession({ agent: grace });
  const read = (await workspace.session(session.id))?.session;
  assert.deepEqual([read?.['template'], read?.['systemPrompt']], [template, 'You write servers.']);
  await assert.rejects(workspace.replaceAgents([ADA, ADA]), api.InvalidError);
  assert.equal((await workspace.agents().all()).length, 2);
});

test('transcripts and checkpoints are removed for good, and their agents go on', async (t) => {
  const { workspace } = await store(t);
  for (const agent of ['ada', 'grace']) {
    await workspace.appendTranscript(agent, 'before');
    await workspace.saveCheckpoint(agent, 'q', 'a');
  }
  assert.equal(await workspace.removeTranscript('ada'), true);
  assert.equal(await workspace.removeTranscript('ada'), false);
  assert.equal(await workspace.removeCheckpoints('ada'), true);
  assert.deepEqual([await workspace.transcript('ada'), await workspace.checkpoints('ada')], [null, []]);
  await workspace.appendTranscript('ada', 'after');
  assert.match((await workspace.transcript('ada')) ?? '', /after$/);
  await workspace.clearTranscripts();
  await workspace.clearCheckpoints();
  assert.deepEqual([await workspace.transcript('ada'), await workspace.transcript('grace')], [null, null]);
  assert.deepEqual(await workspace.checkpoints('grace'), []);
});

test('a copy is made of a store in use, and only where none is', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(3));
  const to = `redb:${join(folder(), 'copy.redb')}`;
  await workspace.backup(to);
  const copy = await open(to, { readOnly: true });
  assert.equal((await copy.history(id).all()).length, 3);
  await copy.close();
  await assert.rejects(workspace.backup(to), api.InvalidError);
});
