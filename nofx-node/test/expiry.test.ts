import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, open, store } from './place';

test('a session that ends is warned of and told, once for the store', async (t) => {
  const { workspace, location } = await store(t);
  const other = await open(location);
  t.after(() => other.close());
  const lasting = await workspace.createSession({ agent: ADA });
  // Long enough to be warned of it on a busy machine.
  const { id } = await workspace.createSession({ agent: ADA, lifetimeMs: 2000 });
  const told: string[] = [];
  for await (const { type, session } of workspace.expiryWatch()) {
    assert.equal(session.id, id);
    told.push(type);
    if (type === 'session.expired') {
      assert.equal(session.status, 'expired');
      break;
    }
  }
  assert.deepEqual(told, ['session.expiry.warning', 'session.expired']);
  assert.equal((await other.session(id))?.session.status, 'expired');
  assert.equal((await other.session(lasting.id))?.state, 'active');

  const stop = new AbortController();
  setTimeout(() => stop.abort(), 200);
  for await (const event of other.expiryWatch({ signal: stop.signal, intervalMs: 20 })) {
    assert.fail(`told again: ${event.type}`);
  }
});

test('what ended while no program was running is told by the next one that watches', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, lifetimeMs: 1 });
  await workspace.close();
  const later = await open(location);
  t.after(() => later.close());
  for await (const event of later.expiryWatch()) {
    assert.deepEqual([event.type, event.session.id], ['session.expired', id]);
    break;
  }
});

test('a watch for sessions that end is over with its workspace, also while it waits', async (t) => {
  const { workspace } = await store(t);
  const ended = (async () => {
    for await (const event of workspace.expiryWatch({ intervalMs: 20 })) {
      assert.fail(event.type);
    }
  })();
  await workspace.close();
  await ended;
});
