import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, api, open, store } from './place';

test('what JSON cannot say is refused by its name, and nothing of it is written', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const late = new Date(8.64e15 + 1);
  const message = (more: object) => ({ type: 'user', content: 'x', ...more }) as never;
  const refused: [() => Promise<unknown>, RegExp][] = [
    [() => workspace.createSession(undefined as never), /undefined, not an object/],
    [() => workspace.createSession({} as never), /`agent` is missing/],
    [() => workspace.createSession({ agent: ADA, lifetimeMs: -1 }), /`lifetimeMs` is -1/],
    [() => workspace.createSession({ agent: ADA, metadata: { n: 1n } }), /`metadata`/],
    [() => workspace.createSession({ agent: ADA, metadata: { ['cut \ud83d']: 1 } }), /metadata/],
    [() => workspace.addMessage(id, message({ timestamp: late })), /`timestamp` of a message is null/],
    [() => workspace.addMessage(id, message({ timestamp: 'tomorrow' })), /`timestamp` of a message is "tomorrow"/],
    [() => workspace.addMessage(id, message({ content: undefined })), /no `content`/],
    [() => workspace.addMessage(undefined as never, message({})), /`session` is undefined, not a text/],
    [() => workspace.summaryPage({ activeSince: late as never }), /`activeSince` is Invalid Date/],
    [() => workspace.history(id, { since: null as never }).all(), /`since` is null/],
    [() => workspace.history(id, { from: Number.NaN }).all(), /`from` is NaN/],
    [() => workspace.search({ words: ['x'], until: new Date(Number.NaN) as never }), /`until` is Invalid Date/],
    [() => workspace.search({ words: 'x' as never }), /`words`/],
    [() => workspace.tail(id, Number.NaN), /`limit` is NaN/],
    [() => workspace.cleanup({ maxSessions: Number.NaN }), /`maxSessions` is NaN/],
    [() => workspace.updateMetadata(id, undefined as never), /`changes` is missing/],
    [() => workspace.renameSession(id, (() => 'x') as never), /`name` is/],
    [() => workspace.openSession({ agent: ADA, key: 'cut \ud83d' }), /`key` is cut/],
    [() => workspace.migrate('cut \ud83d'), /`from` is cut/],
    [() => workspace.backup(7 as never), /`to` is 7/],
  ];
  for (const [call, why] of refused) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof api.InvalidError, `${why}: ${String(error)}`);
      assert.match(error.message, why);
      return true;
    });
  }
  assert.equal((await workspace.session(id))?.messages, 0);
  assert.equal((await workspace.stats()).sessions, 1);
});

test('contents with lone surrogates are kept, and dates are written as they stand', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const at = new Date(-1);
  await workspace.addMessage(id, { type: 'user', content: 'cut \ud83d', timestamp: at as never });
  const [entry] = await workspace.tail(id, 1);
  assert.deepEqual([entry?.message.content, entry?.message.timestamp], ['cut \ud83d', at.toISOString()]);
});

test('what takes long does not begin with a signal that is aborted, and a closed store says so', async (t) => {
  const { workspace, location } = await store(t);
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  const is = (error: unknown) => error === reason;
  await assert.rejects(workspace.search({ words: ['x'] }, { signal }), is);
  await assert.rejects(workspace.cleanup({}, { signal }), is);
  await assert.rejects(workspace.backup(`${location}.copy`, { signal }), is);
  await assert.rejects(workspace.migrate('.nofx', { signal }), is);
  await assert.rejects(open(`${location}.copy`, { create: false }), api.NofxError);
  for await (const _ of workspace.watch({ signal })) assert.fail('nothing is told');
  await workspace.close();
  const closed = [
    () => workspace.openSession({ key: 'k', agent: ADA }),
    () => workspace.records('lang').scan().all(),
    () => workspace.namespace('bots').summaries().all(),
    () => workspace.operation('x').createSession({ agent: ADA }),
    () => workspace.purgeLiveSessions([]),
    () => workspace.doctor(),
  ];
  for (const call of closed) {
    await assert.rejects(call, api.ClosedError);
  }
});
