import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, api, messages, store } from './place';

test('a session without a lifetime never expires, also after it was resumed and restored', async (t) => {
  const { workspace } = await store(t);
  const { id, expiresAt } = await workspace.createSession({ agent: ADA, lifetimeMs: null });
  assert.equal(expiresAt, undefined);
  await workspace.pauseSession(id);
  assert.equal((await workspace.resumeSession(id)).expiresAt, undefined);
  const restored = await workspace.restoreSession(id);
  assert.equal(restored.expiresAt, undefined);
  const usual = await workspace.createSession({ agent: ADA });
  assert.equal(Date.parse(usual.expiresAt ?? '') - Date.parse(usual.createdAt ?? ''), 5 * 3_600_000);
  await assert.rejects(workspace.createSession({ agent: ADA, lifetimeMs: Number.NaN }), /`lifetimeMs` is NaN/);
  await assert.rejects(workspace.createSession({ agent: ADA, lifetimeMs: Number.POSITIVE_INFINITY }), api.InvalidError);
});

test('metadata is kept with a session, merged by member, and sessions are found by it', async (t) => {
  const { workspace } = await store(t);
  const begun = await workspace.createSession({ agent: ADA, metadata: { thread: 't1', step: 1, nothing: null } });
  assert.deepEqual(begun.metadata, { thread: 't1', step: 1 });
  const changed = await workspace.updateMetadata(begun.id, { step: 2, tags: ['a', { deep: null }], thread: null });
  assert.deepEqual(changed.metadata, { step: 2, tags: ['a', { deep: null }] });
  await workspace.createSession({ agent: ADA, metadata: { step: 3 } });
  const found = await workspace.summaries({ metadata: { step: 2, tags: ['a', { deep: null }] } }).all();
  assert.deepEqual(found.map(({ session }) => session.id), [begun.id]);
  assert.deepEqual(found[0]?.session.metadata, changed.metadata);
  await assert.rejects(workspace.updateMetadata(begun.id, { large: 'x'.repeat(17_000) }), /metadata/);
  await assert.rejects(workspace.updateMetadata('none', { a: 1 }), api.NotFoundError);
  await assert.rejects(workspace.updateMetadata(begun.id, [] as never), /`changes`/);
  assert.deepEqual((await workspace.session(begun.id))?.session.metadata, changed.metadata);
});

test('a key opens one session, whichever handle begins it, and is free again after a purge', async (t) => {
  const { workspace, another } = await store(t);
  const other = await another();
  const opened = await Promise.all(
    Array.from({ length: 20 }, (_, at) => (at % 2 ? workspace : other).openSession({ key: 'thread-1', agent: ADA, lifetimeMs: null })),
  );
  assert.equal(new Set(opened.map(({ session }) => session.id)).size, 1);
  assert.equal(opened.filter(({ created }) => created).length, 1);
  const id = opened[0]?.session.id ?? '';
  const summary = await workspace.sessionByKey('thread-1');
  assert.deepEqual([summary?.session.id, summary?.key], [id, 'thread-1']);
  assert.equal(await workspace.sessionByKey('thread-2'), null);
  assert.equal((await workspace.restoreSession(id)).metadata, undefined);
  assert.equal((await workspace.openSession({ key: 'thread-1', agent: ADA, name: 'ignored' })).session.name, opened[0]?.session.name);

  await workspace.deleteSession(id);
  await assert.rejects(workspace.openSession({ key: 'thread-1', agent: ADA }), /trash/);
  await workspace.undeleteSession(id);
  // Not awaited: opening sees the purge, which waits for its turn.
  for (let at = 0; at < 20; at += 1) void workspace.renameSession(id, `${at}`);
  const purged = workspace.purgeLiveSession(id);
  const again = await workspace.openSession({ key: 'thread-1', agent: ADA });
  await purged;
  assert.deepEqual([again.created, again.session.id === id], [true, false]);
  const long = 'é'.repeat(4000);
  assert.equal((await workspace.openSession({ key: long, agent: ADA })).created, true);
  assert.equal((await workspace.openSession({ key: long, agent: ADA })).created, false);
  await assert.rejects(workspace.openSession({ key: '', agent: ADA }), api.InvalidError);
  await assert.rejects(workspace.openSession({ agent: ADA } as never), /`key` is missing/);
});

test('a live session is removed for good in one call, alone and together with others', async (t) => {
  const { workspace } = await store(t);
  const ids = await Promise.all([0, 1, 2].map(async () => (await workspace.createSession({ agent: ADA })).id));
  const [first = '', ...rest] = ids;
  await workspace.addMessages(first, messages(3));
  await assert.rejects(workspace.purgeSession(first), /not in the trash/);
  await workspace.purgeLiveSession(first);
  assert.deepEqual([await workspace.session(first), await workspace.isPurged(first)], [null, true]);
  const results = await workspace.purgeLiveSessions([...rest, first]);
  assert.deepEqual(results.map(({ ok }) => ok), [null, null, undefined]);
  assert.ok(results[2]?.error instanceof api.NotFoundError);
  assert.equal((await workspace.stats()).sessions, 0);
});

test('a session is restored up to a position', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(120));
  for (const upTo of [0, 1, 60, 120]) {
    const fork = await workspace.restoreSession(id, { upTo });
    const contents = (await workspace.history(fork.id).all()).map(({ message }) => message.content);
    assert.deepEqual(contents, messages(upTo).map(({ content }) => content));
  }
  await assert.rejects(workspace.restoreSession(id, { upTo: 121 }), api.InvalidError);
  await assert.rejects(workspace.restoreSession(id, { upTo: Number.NaN }), /`upTo` is NaN/);
});

test('the newest messages are taken back, and who saw them is told', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(100, 'secret'));
  const cursor = await workspace.cursor();
  const writer = await workspace.sessionWriter(id);
  await assert.rejects(workspace.rewindSession(id, 10, { seen: 99 }), api.ConflictError);
  await workspace.rewindSession(id, 98, { seen: 100 });
  assert.deepEqual((await workspace.events(cursor)).events.at(-1), { type: 'session.rewound', session: id, length: 98 });
  const summary = await workspace.session(id);
  assert.deepEqual([summary?.messages, summary?.rewinds], [98, 1]);
  assert.equal((await workspace.tail(id, 1))[0]?.message.content, 'secret 97');
  assert.equal((await workspace.search({ words: ['secret 98'] })).hits.length, 0);
  assert.doesNotMatch(await workspace.exportMarkdown(id), /secret 99/);

  // As long as before, but of another history.
  await workspace.addMessages(id, messages(2, 'other'));
  await assert.rejects(writer.append(messages(1)), api.ConflictError);
  await assert.rejects(workspace.rewindSession(id, 5, { seen: { length: 100, rewinds: 0 } }), api.ConflictError);
  await workspace.rewindSession(id, 99, { seen: { length: 100, rewinds: 1 } });
  assert.equal((await workspace.tail(id, 1))[0]?.message.content, 'other 0');

  // Not awaited: what is added before is removed with the rest, and what is added later comes after the cut.
  const added = workspace.addMessages(id, messages(3));
  const cut = workspace.rewindSession(id, 1, { seen: 102 });
  assert.equal(await workspace.addMessages(id, messages(1, 'behind')), 1);
  await Promise.all([added, cut]);
  for (const to of [-1, 0.5, Number.NaN, '1', undefined]) {
    await assert.rejects(workspace.rewindSession(id, to as never, { seen: 2 }), /`to` is/);
  }
  await assert.rejects(workspace.rewindSession(id, 1, {} as never), /`seen` is missing/);
  await assert.rejects(workspace.rewindSession(id, 3, { seen: 2 }), /fewer than 3/);
  await workspace.archiveSession(id);
  await assert.rejects(workspace.rewindSession(id, 0, { seen: 2 }), /archived/);
});

test('everything is removed for good, of all namespaces and behind the calls before it', async (t) => {
  const { workspace } = await store(t);
  const template = { systemPrompt: 'of no name' };
  for (const of of [workspace, workspace.namespace('bots')]) {
    await of.saveAgent({ ...ADA, template });
    const { session } = await of.openSession({ key: 'k', agent: { ...ADA, template } });
    await of.addMessage(session.id, { type: 'tool', content: 'long '.repeat(30_000) });
    await of.appendTranscript('ada', 'line');
    await of.saveOrchestration({ id: 'm' });
  }
  const records = workspace.records('lang');
  await records.commit({ put: [{ kind: 'k', id: 'a', body: 1 }], append: [{ kind: 'l', id: 'a', entries: [{ body: 1 }] }] });
  const phases = new Set<string>();
  void workspace.saveAgent({ ...ADA, id: 'late' });
  const cleared = await workspace.clearAll({ onProgress: ({ phase, done }) => phases.add(`${phase} ${done}`) });
  assert.deepEqual(cleared, { sessions: 2, left: [] });
  assert.ok(phases.has('clearing 2'), [...phases].join());
  // Only the record that two sessions were purged is left.
  const { records: left, entries } = await workspace.doctor();
  assert.deepEqual([left, entries], [2, 0]);
  assert.equal((await workspace.openSession({ key: 'k', agent: ADA })).created, true);
  await workspace.saveOrchestration({ id: 'again' });
  assert.deepEqual((await workspace.orchestrationHistory().all()).map(({ id }) => id), ['again']);
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(workspace.clearAll({ signal }), /enough/);
});
