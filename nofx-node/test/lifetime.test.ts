import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ADA, api, folder, messages, open, store } from './place';

/** The addon itself, below the TypeScript. */
interface Native {
  ask(answers: unknown, call: number, verb: string, request: string): void;
}

/** What is between the two. */
interface Calls {
  called(ask: (answers: unknown, call: number) => void): Promise<string[]>;
}

const calls = require('../dist/calls.js') as Calls;

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

test('of a hundred thousand calls at once only a few are inside the addon', (t) => {
  // In a separate process: the test runner tracks every promise.
  const source = `
    const { open } = require(${JSON.stringify(join(__dirname, '../dist/index.js'))});
    const calls = require(${JSON.stringify(join(__dirname, '../dist/calls.js'))});
    const called = calls.called;
    let [inside, most, answers] = [0, 0, 0];
    calls.called = (ask) => {
      inside += 1;
      most = Math.max(most, inside);
      return called(ask).finally(() => (inside -= 1));
    };
    open('memory:').then(async (workspace) => {
      await Promise.all(Array.from({ length: 1000 }, () => workspace.cursor()));
      const before = process.memoryUsage.rss();
      await Promise.all(Array.from({ length: 100_000 }, () => workspace.cursor().then(() => (answers += 1))));
      console.log(answers, most, Math.round((process.resourceUsage().maxRSS * 1024 - before) / 1e6));
      await workspace.close();
    });`;
  const told = execFileSync(process.execPath, ['-e', source], { encoding: 'utf8' });
  const [answers, most, grown] = told.split(' ').map(Number);
  assert.deepEqual([answers, most], [100_000, 256]);
  t.diagnostic(`grew by ${grown} MB`);
  assert.ok(grown !== undefined && grown < 300, `grew by ${grown} MB`);
});

test('a call that never ends does not keep a window from closing', async (t) => {
  const { workspace } = await store(t);
  const { called } = calls;
  calls.called = () => new Promise(() => undefined);
  void workspace.agents().all();
  calls.called = called;
  const started = performance.now();
  await workspace.close();
  assert.ok(performance.now() - started < 3000);
});

test('a panic becomes an error and the store goes on', async (t) => {
  const addon = require('../dist/addon.js') as { open(location: string, options: string): Promise<Native> };
  const handle = await addon.open('memory:', '{}');
  const ask = (verb: string, request: string) => calls.called((answers, call) => handle.ask(answers, call, verb, request));
  const rejection: unknown = await ask('panic', '{}').catch((error: unknown) => error);
  const error = (require('../dist/errors.js') as { errorOf(rejection: unknown): unknown }).errorOf(rejection);
  if (error instanceof api.InvalidError) {
    t.skip('a build for people has no verb that panics');
    return;
  }
  assert.ok(error instanceof api.InternalError, String(error));
  assert.equal(error.code, 'internal');
  assert.equal(error.message, 'a bug in this program: asked to');
  assert.equal(error.nextStep, 'report it; reload the window');
  assert.equal(error.transient, false);
  assert.deepEqual(await ask('agent', '{"agent":"none"}'), ['null']);
});

test('an answer that is too long for JavaScript is an error and ends nothing', async () => {
  const { open: opened, Answers } = require('../dist/addon.js') as {
    open(location: string, options: string): Promise<Native>;
    Answers: new (tell: (call: number, failed: boolean, texts: string[]) => void, longest: number) => { keepRunning(keeps: boolean): void };
  };
  const handle = await opened('memory:', '{}');
  const asked = (longest: number) =>
    new Promise<[boolean, string[]]>((resolve) => {
      const answers = new Answers((_, failed, texts) => {
        answers.keepRunning(false);
        resolve([failed, texts]);
      }, longest);
      answers.keepRunning(true);
      handle.ask(answers, 1, 'agent', '{"agent":"none"}');
    });
  assert.deepEqual(await asked(4), [false, ['null']]);
  const [failed, [text]] = await asked(3);
  assert.ok(failed && text?.includes('"code":"invalid"') && text.includes('more than 3 characters'), text);
});

test('Node runs until the last call is answered, and no longer', () => {
  // The last call is not awaited, and the store stays open.
  const source = `
    const { open } = require(${JSON.stringify(join(__dirname, '../dist/index.js'))});
    open('memory:').then(async (workspace) => {
      await workspace.cursor();
      await new Promise((resolve) => setTimeout(resolve, 20));
      workspace.cursor().then(() => console.log('answered'));
      workspace.session('none').then(() => console.log('and this one'));
    });`;
  const told = execFileSync(process.execPath, ['-e', source], { encoding: 'utf8', timeout: 20_000 });
  assert.deepEqual(told.trim().split('\n').sort(), ['and this one', 'answered']);
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
  // Wherever it is stopped: a call in flight must not touch what Node frees with the thread.
  for (let round = 0; round < 20; round += 1) {
    const worker = new Worker(source, { eval: true });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
  }
  await workspace.addMessages(id, messages(1, 'after'));
  const all = await workspace.history(id).all();
  assert.equal(all[0]?.message.content, 'from a thread');
  // What a stopped thread had begun may still be committed after it.
  assert.ok(all.some(({ message }) => message.content === 'after 0'));
});

test('a full disk is told and nothing is lost', async (t) => {
  const disk = join(folder(), 'disk');
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
  const path = join(folder(), 'folder');
  mkdirSync(path);
  await assert.rejects(open(`redb:${path}`), (error) => {
    assert.ok(error instanceof api.NofxError);
    t.diagnostic(`${error.name}: ${error.message} (${error.cause})`);
    return true;
  });
});
