import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ADA, api, folder, messages, open, store } from './place';

test('closing waits for what was begun, and then everything is closed', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const pending = Array.from({ length: 1000 }, (_, at) => workspace.addMessage(id, { type: 'user', content: `${at}` }));
  const started = performance.now();
  await workspace.close();
  assert.ok(performance.now() - started < 3000);
  await Promise.all(pending);
  await workspace.close();
  await assert.rejects(workspace.session(id), (error) => error instanceof api.ClosedError && error.code === 'closed');

  const again = await open(location);
  assert.equal((await again.session(id))?.messages, 1000);
  await again.close();
});

test('a hundred thousand calls at once are bounded in memory', (t) => {
  // In a process of its own: the test runner remembers every promise.
  const source = `
    const { open } = require(${JSON.stringify(join(__dirname, '../dist/index.js'))});
    open('memory:').then(async (workspace) => {
      const { id } = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
      await Promise.all(Array.from({ length: 1000 }, () => workspace.session(id)));
      const before = process.memoryUsage.rss();
      let answers = 0;
      await Promise.all(Array.from({ length: 100_000 }, () => workspace.session(id).then(() => (answers += 1))));
      console.log(answers, Math.round((process.resourceUsage().maxRSS * 1024 - before) / 1e6));
      await workspace.close();
    });`;
  const [answers, grown] = execFileSync(process.execPath, ['-e', source], { encoding: 'utf8' }).split(' ').map(Number);
  assert.equal(answers, 100_000);
  t.diagnostic(`grew by ${grown} MB`);
  assert.ok(grown !== undefined && grown < 300, `grew by ${grown} MB`);
});

test('a thread that is stopped leaves the store to the others', async (t) => {
  const { workspace, location } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const source = `
    const { open } = require(${JSON.stringify(join(__dirname, '../dist/index.js'))});
    const { parentPort } = require('node:worker_threads');
    open(${JSON.stringify(location)}).then(async (workspace) => {
      await workspace.addMessage(${JSON.stringify(id)}, { type: 'user', content: 'from a thread' });
      parentPort.postMessage('added');
      for (;;) await workspace.addMessage(${JSON.stringify(id)}, { type: 'user', content: 'more' });
    });`;
  const worker = new Worker(source, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
  await worker.terminate();
  await workspace.addMessages(id, messages(1, 'after'));
  const all = await workspace.history(id).all();
  assert.equal(all[0]?.message.content, 'from a thread');
  assert.equal(all.at(-1)?.message.content, 'after 0');
});

test('a full disk is told and nothing is lost', async (t) => {
  const disk = join(folder(t), 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'nofx', disk], { stdio: 'ignore' });
  } catch {
    t.skip('mounting a small disk needs root');
    return;
  }
  try {
    const workspace = await open(`redb:${join(disk, 'nofx.redb')}`);
    const { id } = await workspace.createSession({ agent: ADA });
    let added = 0;
    const content = 'incompressible '.repeat(10);
    await assert.rejects(
      async () => {
        for (;;) {
          const noise = Array.from({ length: 4000 }, () => Math.random().toString(36)).join('');
          await workspace.addMessage(id, { type: 'user', content: content + noise });
          added += 1;
        }
      },
      (error) => {
        assert.ok(error instanceof api.FullError, String(error));
        assert.equal(error.transient, true);
        return true;
      },
    );
    assert.ok(added > 0);
    assert.equal((await workspace.session(id))?.messages, added);
    await workspace.close();
  } finally {
    execFileSync('umount', [disk]);
  }
});

test('errors from below keep their cause', async (t) => {
  const path = join(folder(t), 'folder');
  mkdirSync(path);
  await assert.rejects(open(`redb:${path}`), (error) => {
    assert.ok(error instanceof api.NofxError);
    t.diagnostic(`${error.name}: ${error.message} (${error.cause})`);
    return true;
  });
});
