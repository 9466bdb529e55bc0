import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { folder } from './place';

const PACKAGE = join(__dirname, '..');

const PROGRAM = `
import { type HistoryEntry, NotFoundError, open } from 'nofx-node';

async function main(): Promise<void> {
  const workspace = await open('redb:store/nofx.redb');
  const session = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'x' } });
  await workspace.addMessage(session.id, { type: 'user', content: 'installed' });
  const entries: HistoryEntry[] = await workspace.history(session.id).all();
  const refused: unknown = await workspace.archiveSession('unknown').catch((error: unknown) => error);
  console.log(entries[0]?.message.content, refused instanceof NotFoundError);
  await workspace.close();
}

void main();
`;

const SERVICES = `
import { type LegacySession, SessionPersistenceService, UnifiedPersistenceService } from 'nofx-node/legacy';

async function main(): Promise<void> {
  const persistence = new UnifiedPersistenceService(undefined);
  const session: LegacySession = await persistence.createAgentSession({ id: 'ada', name: 'Ada', type: 'x' });
  console.log(session.agentName, typeof SessionPersistenceService);
  await persistence.dispose();
}

void main();
`;

const ADAPTER = `
import { open } from 'nofx-node';
import { NofxSessionStore, type SessionStoreEntry } from 'nofx-node/adapters/claude';

async function main(): Promise<void> {
  const workspace = await open('memory:');
  const store = new NofxSessionStore(workspace);
  const key = { projectKey: 'p', sessionId: 's' };
  await store.append(key, [{ type: 'user', uuid: 'a' }]);
  const entries: SessionStoreEntry[] | null = await store.load(key);
  console.log(entries?.length);
  await workspace.close();
}

void main();
`;

const MODULE = `
import { NofxError, open } from 'nofx-node';
import { UnifiedPersistenceService } from 'nofx-node/legacy';
const persistence = new UnifiedPersistenceService('/dev/null');
const error = await persistence.workspace.catch((error) => error);
console.log(typeof open, error instanceof NofxError);
await persistence.dispose();
`;

test('the tarball installs in an empty folder, offers its types and works', () => {
  const place = folder();
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { cwd: place, encoding: 'utf8' });
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', place], { cwd: PACKAGE, stdio: 'pipe' });
  writeFileSync(join(place, 'package.json'), '{"private":true}');
  run('npm', 'install', '--offline', '--no-audit', '--no-fund', './nofx-node-0.1.0.tgz');

  writeFileSync(join(place, 'program.ts'), PROGRAM);
  const types = join(PACKAGE, 'node_modules', '@types');
  const compiler = require.resolve('typescript/bin/tsc', { paths: [PACKAGE] });
  const options = ['--strict', '--module', 'node16', '--target', 'es2022', '--types', 'node', '--typeRoots', types];
  run(process.execPath, compiler, ...options, 'program.ts');
  mkdirSync(join(place, 'store'));
  assert.equal(run(process.execPath, 'program.js'), 'installed true\n');

  writeFileSync(join(place, 'services.ts'), SERVICES);
  run(process.execPath, compiler, ...options, 'services.ts');
  assert.equal(run(process.execPath, 'services.js'), 'Ada function\n');
  writeFileSync(join(place, 'adapter.ts'), ADAPTER);
  run(process.execPath, compiler, ...options, 'adapter.ts');
  assert.equal(run(process.execPath, 'adapter.js'), '1\n');
  // As an extension that was set up some years ago resolves types.
  run(process.execPath, compiler, ...options, '--noEmit', '--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0', 'services.ts');
  writeFileSync(join(place, 'module.mjs'), MODULE);
  assert.equal(run(process.execPath, 'module.mjs'), 'function true\n');
});
