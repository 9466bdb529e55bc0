import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import * as vm from 'node:vm';
import { Worker } from 'node:worker_threads';
import { folder } from './place';

const ROOT = join(__dirname, '..');
const DIST = join(ROOT, 'dist');

/** What a caller needs of an error, wherever modules live: its class, its code, and its next step. */
const ASKED = `async (open, api) => {
  const workspace = await open('memory:');
  const error = await workspace.addMessage('none', { type: 'user', content: 'x' }).catch((error) => error);
  await workspace.close();
  const late = await workspace.session('none').catch((error) => error);
  return [error instanceof api.NotFoundError, error instanceof api.NofxError, error instanceof Error, error.code, error.name,
    error.nextStep, late instanceof api.ClosedError, late.code].join();
}`;

const ANSWER = 'true,true,true,not-found,NotFoundError,check the id against what the store lists; nothing was written,true,closed';

test('errors keep their class in a `vm` context', async () => {
  // As Jest does it: each module is run in the context, and only the addon itself is loaded by Node.
  const context = vm.createContext({ console, setTimeout, clearTimeout, setInterval, clearInterval, performance, process });
  const loaded = new Map<string, { exports: unknown }>();
  const load = (path: string): unknown => {
    const known = loaded.get(path);
    if (known) return known.exports;
    const module = { exports: {} as unknown };
    loaded.set(path, module);
    const outer = createRequire(path);
    const require = (name: string) => {
      const found = name.startsWith('.') ? outer.resolve(name) : name;
      return found.endsWith('.js') && found.startsWith(DIST) ? load(found) : outer(name);
    };
    const wrapped = `(function (module, exports, require, __dirname) {${readFileSync(path, 'utf8')}\n})`;
    const run = vm.runInContext(wrapped, context, { filename: path }) as (...args: unknown[]) => void;
    run(module, module.exports, require, dirname(path));
    return module.exports;
  };
  const api = load(join(DIST, 'index.js')) as { open: unknown };
  const ask = vm.runInContext(`(${ASKED})`, context) as (open: unknown, api: unknown) => Promise<string>;
  assert.equal(await ask(api.open, api), ANSWER);
});

test('errors keep their class in a worker thread', async () => {
  const source = `
    const api = require(${JSON.stringify(join(DIST, 'index.js'))});
    (${ASKED})(api.open, api).then((answer) => require('node:worker_threads').parentPort.postMessage(answer));`;
  const worker = new Worker(source, { eval: true });
  const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  assert.equal(answer, ANSWER);
});

test('errors keep their class under Jest', () => {
  const at = folder();
  writeFileSync(join(at, 'package.json'), '{}');
  writeFileSync(
    join(at, 'errors.test.js'),
    `const api = require(${JSON.stringify(join(DIST, 'index.js'))});
     test('errors', async () => expect(await (${ASKED})(api.open, api)).toBe(${JSON.stringify(ANSWER)}));`,
  );
  const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
  execFileSync(process.execPath, [jest, '--rootDir', at, '--watchman=false', '--runInBand'], { stdio: 'pipe', cwd: at });
});

test('errors keep their class under Vitest', () => {
  const at = folder();
  writeFileSync(
    join(at, 'errors.test.mjs'),
    `import * as api from ${JSON.stringify(join(DIST, 'index.js'))};
     test('errors', async () => expect(await (${ASKED})(api.open, api)).toBe(${JSON.stringify(ANSWER)}));`,
  );
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  for (const pool of ['threads', 'forks', 'vmThreads']) {
    execFileSync(process.execPath, [vitest, 'run', '--root', at, '--globals', '--pool', pool], { stdio: 'pipe', cwd: at });
  }
});

test('errors keep their class in a bundle', () => {
  const at = folder();
  const entry = join(at, 'entry.js');
  const api = JSON.stringify(join(DIST, 'index.js'));
  writeFileSync(entry, `const api = require(${api}); (${ASKED})(api.open, api).then((answer) => console.log(answer));`);
  const esbuild = require('esbuild') as { buildSync(options: object): void };
  mkdirSync(join(at, 'out'));
  // As extensions are bundled: one file with shortened names, and the addon beside it.
  esbuild.buildSync({
    entryPoints: [entry],
    outfile: join(at, 'out/bundle.js'),
    bundle: true,
    minify: true,
    platform: 'node',
    loader: { '.node': 'copy' },
    logLevel: 'error',
  });
  assert.equal(execFileSync(process.execPath, [join(at, 'out/bundle.js')], { encoding: 'utf8' }).trim(), ANSWER);
});
