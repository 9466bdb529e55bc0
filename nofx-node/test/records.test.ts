import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, api, store } from './place';

test('records of a host are written, expected, listed in order and deleted', async (t) => {
  const { workspace, another } = await store(t);
  const records = workspace.records('lang');
  assert.equal(await records.get('write', 'a'), null);
  const first = await records.put('write', 't1/a', { step: 1, text: 'naïve \ud83d' }, { expect: 'absent' });
  assert.deepEqual(await records.get('write', 't1/a'), { kind: 'write', id: 't1/a', version: first, body: { step: 1, text: 'naïve \ud83d' } });
  await assert.rejects(records.put('write', 't1/a', 2, { expect: 'absent' }), api.ConflictError);
  const second = await records.put('write', 't1/a', [2], { expect: first });
  await assert.rejects(records.delete('write', 't1/a', { expect: first }), api.ConflictError);
  assert.deepEqual((await records.get('write', 't1/a'))?.body, [2]);
  await records.put('write', 't1/b', null);
  await records.put('other', 'x', true);
  const each = await records.getEach([{ kind: 'write', id: 't1/b' }, { kind: 'write', id: 'none' }]);
  assert.deepEqual(each.map((one) => one && [one.id, one.body]), [['t1/b', null], null]);
  const ids = async (query: object) => (await records.scan(query).all()).map(({ kind, id }) => `${kind}:${id}`);
  assert.deepEqual(await ids({}), ['other:x', 'write:t1/a', 'write:t1/b']);
  assert.deepEqual(await ids({ kind: 'write', prefix: 't1/', backward: true }), ['write:t1/b', 'write:t1/a']);
  assert.deepEqual(await ids({ kind: 'write', after: { kind: 'write', id: 't1/a' } }), ['write:t1/b']);
  await records.delete('write', 't1/a', { expect: second });
  await records.delete('write', 't1/a');
  assert.equal(await records.get('write', 't1/a'), null);
  const other = await another();
  assert.equal((await other.records('lang').scan().all()).length, 2);
  assert.deepEqual(await other.records('langx').scan().all(), []);
  assert.deepEqual([await workspace.summaries().all(), await workspace.agents().all()], [[], []]);
});

test('a scan reads a page ahead, each record once, and changes that are not awaited keep their order', async (t) => {
  const { workspace } = await store(t);
  const records = workspace.records('lang');
  const name = (at: number) => `r${String(at).padStart(4, '0')}`;
  await records.commit({ put: Array.from({ length: 900 }, (_, at) => ({ kind: 'k', id: name(at), body: at })) });
  const seen = [];
  for await (const { id, body } of records.scan({ kind: 'k', pageSize: 100 })) {
    seen.push(id);
    assert.equal(id, name(Number(body)));
  }
  assert.deepEqual(seen, Array.from({ length: 900 }, (_, at) => name(at)));
  for (let at = 0; at < 50; at += 1) {
    void records.put('k', 'same', at);
    void records.put('k', `own ${at}`, at);
  }
  assert.equal((await records.get('k', 'same'))?.body, 49);
  assert.equal((await records.scan({ kind: 'k', prefix: 'own ' }).all()).length, 50);
  const appended = Array.from({ length: 20 }, (_, at) => records.append('log', 'a', [at]));
  assert.deepEqual(await Promise.all(appended), Array.from({ length: 20 }, (_, at) => at));
});

test('logs of a host grow, are read from both ends, and are never used again once they are removed', async (t) => {
  const { workspace } = await store(t);
  const records = workspace.records('lang');
  const log = { kind: 'turns', id: 't1' };
  const at = '2025-01-02T03:04:05.000Z';
  const entries = Array.from({ length: 500 }, (_, n) => ({ at, body: { n } }));
  const committed = await records.commit({ put: [{ kind: 'pointer', id: 't1', body: 1, expect: 'absent' }], append: [{ ...log, entries }] });
  assert.deepEqual(committed.positions, [0]);
  assert.equal((await records.get('pointer', 't1'))?.version, committed.version);
  assert.deepEqual(await records.head('turns', 't1'), { ...log, length: 500, lastAt: at, state: 'open' });
  const bodies = async (range: object) => (await records.read<{ n: number }>('turns', 't1', range).all()).map(({ body }) => body.n);
  assert.deepEqual(await bodies({ pageSize: 64 }), entries.map(({ body }) => body.n));
  assert.deepEqual(await bodies({ newestFirst: true, from: 490, to: 497, pageSize: 3 }), [496, 495, 494, 493, 492, 491, 490]);
  assert.equal(await records.append('turns', 't1', [{ n: 500 }], { length: 500 }), 500);
  await assert.rejects(records.append('turns', 't1', [{ n: 0 }], { length: 500 }), api.ConflictError);
  const stale = { put: [{ kind: 'pointer', id: 't1', body: 9 }], guard: [{ ...log, length: 7 }] };
  await assert.rejects(records.commit(stale), api.ConflictError);
  assert.equal((await records.get('pointer', 't1'))?.body, 1, 'all or nothing');
  await records.commit({ guard: [{ kind: 'pointer', id: 't1', expect: committed.version ?? 0 }], seal: [log] });
  await assert.rejects(records.append('turns', 't1', [1]), api.ConflictError);
  await records.commit({ remove: [log] });
  assert.equal((await records.head('turns', 't1')).state, 'removed');
  await assert.rejects(records.append('turns', 't1', [1]), api.ConflictError);
  await records.append('turns', 't2', [1]);
  assert.deepEqual((await records.logs().all()).map(({ id, length }) => [id, length]), [['t2', 1]]);
});

test('a host cannot reach what is not its own, and what it cannot mean is refused', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const records = workspace.records('lang');
  for (const name of ['', 'Lang', 'a-b', '1a', 'x'.repeat(17), '\ud83d', undefined]) {
    await assert.rejects(workspace.records(name as never).get('k', 'a'), api.InvalidError);
  }
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  const refused: [() => Promise<unknown>, RegExp][] = [
    [() => records.put('', 'a', 1), /kind/],
    [() => records.put('k', '', 1), /empty/],
    [() => records.put('k', 'é'.repeat(300), 1), /600 bytes/],
    [() => records.put('k', 'cut \ud83d', 1), /`id` is cut/],
    [() => records.put('k', 'a', undefined), /`body` is missing/],
    [() => records.put('k', 'a', 10n), /BigInt/],
    [() => records.put('k', 'a', circle), /circular/],
    [() => records.put('k', 'a', 1, { expect: 0 }), /`expect` is 0/],
    [() => records.put('k', 'a', 1, { expect: 'present' as never }), /`expect`/],
    [() => records.append('k', 'a', []), /nothing/],
    [() => records.append('k', 'a', 1 as never), /`bodies`/],
    [() => records.commit({ append: [{ kind: 'k', id: 'a', entries: [{ at: new Date(Number.NaN) as never, body: 1 }] }] }), /`at` is null/],
    [() => records.commit({ put: {} as never }), /`batch`/],
    [() => records.scan({ prefix: 'a' }).all(), /prefix/],
    [() => records.scan({ backward: true }).all(), /a backward query needs a kind/],
  ];
  await records.put('session', id, 1);
  assert.equal((await workspace.session(id))?.session.id, id, 'a kind of the same name is its own');
  for (const [call, why] of refused) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof api.InvalidError, String(error));
      assert.match(error.message, why);
      return true;
    });
  }
  assert.deepEqual((await records.scan().all()).map(({ kind }) => kind), ['session']);
  await workspace.close();
  await assert.rejects(records.put('k', 'a', 1), api.ClosedError);
});
