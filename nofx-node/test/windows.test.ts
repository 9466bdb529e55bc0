import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { ADA, api, messages, open, store } from './place';

/** Starts another process that opens the store and does something with it. */
function program(location: string, body: string) {
  const source = `
    const { open } = require(${JSON.stringify(join(__dirname, '../dist/index.js'))});
    (async () => {
      const workspace = await open(${JSON.stringify(location)});
      ${body}
    })().catch((error) => { console.log('failed', error); process.exit(1); });`;
  const child = spawn(process.execPath, ['-e', source], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, line: async () => (await lines.next()).value as string };
}

test('two windows write to one session and nothing is lost', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const other = program(
    location,
    `for (let at = 0; at < 20; at += 1) {
       await workspace.addMessage(${JSON.stringify(id)}, { type: 'assistant', content: 'theirs ' + at });
     }
     await workspace.close(); console.log('done');`,
  );
  for (let at = 0; at < 20; at += 1) {
    await workspace.addMessage(id, { type: 'user', content: `ours ${at}` });
  }
  assert.equal(await other.line(), 'done');
  const all = await workspace.history(id).all();
  assert.equal(all.length, 40);
  const order = (who: string) => all.filter((entry) => entry.message.content?.startsWith(who)).map((e) => e.message.content);
  assert.deepEqual(order('ours'), Array.from({ length: 20 }, (_, at) => `ours ${at}`));
  assert.deepEqual(order('theirs'), Array.from({ length: 20 }, (_, at) => `theirs ${at}`));
});

test('a writer that has not seen the other window gets its messages instead of an acknowledgement', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const other = await open(location);
  const writer = await workspace.sessionWriter(id);
  assert.deepEqual(await writer.append(messages(1, 'first')), { added: true, position: 0 });

  await other.addMessages(id, messages(2, 'theirs'));
  const refused = await writer.append(messages(1, 'second'));
  assert.ok(!refused.added);
  assert.deepEqual(refused.unseen.map((entry) => entry.message.content), ['theirs 0', 'theirs 1']);
  assert.equal(writer.seen, 3);
  assert.deepEqual(await writer.append(messages(1, 'second')), { added: true, position: 3 });
  const both = await Promise.all([writer.append(messages(2, 'third')), writer.append(messages(1, 'fourth'))]);
  assert.deepEqual(both, [{ added: true, position: 4 }, { added: true, position: 6 }]);
  await assert.rejects(workspace.sessionWriter('unknown'), /not found: session `unknown`/);
  await other.close();
});

test('a watch tells what another window does', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const events = workspace.watch({ intervalMs: 10 });
  const next = events.next();
  const other = program(
    location,
    `await workspace.addMessage(${JSON.stringify(id)}, { type: 'assistant', content: 'theirs' });
     await workspace.close(); console.log('done');`,
  );
  assert.equal(await other.line(), 'done');
  const { value } = await next;
  assert.ok(value);
  assert.deepEqual(value.events, [{ type: 'session.message.added', session: id }]);
  assert.equal(value.gap, false);

  const session = await workspace.createSession({ agent: ADA });
  const again = await events.next();
  const created = [{ type: 'session.created', session: session.id }];
  assert.deepEqual(again.value?.events, created);
  const resumed = await workspace.watch({ after: value.cursor, intervalMs: 10 }).next();
  assert.deepEqual(resumed.value?.events, created);
});

test('a watch ends with its signal and with its workspace', async (t) => {
  const { workspace } = await store(t);
  const abort = new AbortController();
  const watched = workspace.watch({ signal: abort.signal, intervalMs: 60_000 }).next();
  setTimeout(() => abort.abort(), 50);
  assert.equal((await watched).done, true);

  const closed = workspace.watch({ intervalMs: 20 }).next();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await workspace.close();
  assert.equal((await closed).done, true);
});

test('what was acknowledged survives a kill', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.close();
  const doomed = program(
    location,
    `for (let at = 0; ; at += 1) console.log(await workspace.addMessage(${JSON.stringify(id)}, { type: 'user', content: 'm' + at }));`,
  );
  let acknowledged = -1;
  while (acknowledged < 50) acknowledged = Number(await doomed.line());
  doomed.child.kill('SIGKILL');
  await once(doomed.child, 'exit');

  const after = await open(location);
  const all = await after.history(id).all();
  assert.ok(all.length > acknowledged);
  all.forEach((entry, at) => assert.equal(entry.message.content, `m${at}`));
  await after.addMessages(id, messages(1));
  await after.close();
});

test('a process that ends without closing leaves a store that opens at once', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.close();
  const other = program(
    location,
    `await workspace.addMessage(${JSON.stringify(id)}, { type: 'user', content: 'kept' });
     workspace.addMessage(${JSON.stringify(id)}, { type: 'user', content: 'perhaps' });
     process.exit(0);`,
  );
  await once(other.child, 'exit');
  assert.equal(other.child.exitCode, 0);
  const after = await open(location);
  assert.equal((await after.history(id).all())[0]?.message.content, 'kept');
  await after.close();
});

test('who only reads needs a store and writes nothing', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const reader = await open(location, { readOnly: true });
  assert.notEqual(reader.info().readOnly, null);
  assert.equal(workspace.info().readOnly, null);
  assert.equal(reader.info().store, workspace.info().store);
  assert.equal((await reader.session(id))?.session.id, id);
  await assert.rejects(reader.addMessages(id, messages(1)), api.NofxError);
  await reader.close();
  await assert.rejects(open(`${location}.none`, { readOnly: true }), api.NofxError);
});
