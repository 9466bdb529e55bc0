import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type * as nofx from '../dist/index';

/** The package as it was built. */
export const { open, ...api } = require('../dist/index.js') as typeof nofx;

export const ADA = { id: 'ada', name: 'Ada', type: 'backend-specialist' };

/** A reason to leave out what Windows refuses: to remove a folder in which a file is open. */
export const onWindows = process.platform === 'win32' ? 'Windows removes no folder in use' : false;

const folders: string[] = [];
// At the end of the process, when stores are closed.
process.on('exit', () => folders.forEach(removed));

function removed(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    // Some tests leave a store open on purpose.
    if (onWindows === false) {
      throw error;
    }
  }
}

/** Creates a folder that is removed once the tests of the file are over. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'nofx-node-'));
  folders.push(path);
  return path;
}

/** Opens a new store in a file, closed after the test; `another` opens it again, as another window would. */
export async function store(test: TestContext) {
  const opened: nofx.Workspace[] = [];
  // Cleanup after the test runs in this order: a store that is still open may write to its folder.
  test.after(() => Promise.all(opened.map((workspace) => workspace.close())));
  const location = `redb:${join(folder(), 'store', 'nofx.redb')}`;
  const another = async () => {
    const workspace = await open(location);
    opened.push(workspace);
    return workspace;
  };
  return { workspace: await another(), location, another };
}

/** Creates this many user messages. */
export function messages(count: number, content = 'hello'): nofx.NewMessage[] {
  return Array.from({ length: count }, (_, at) => ({ type: 'user', content: `${content} ${at}` }));
}

/**
 * Expects each of these calls to be rejected with such an error.
 * All are awaited together: a call that is rejected while the test awaits an earlier one fails the test.
 */
export async function allRejected(calls: Promise<unknown>[], error: assert.AssertPredicate) {
  await Promise.all(calls.map((call) => assert.rejects(call, error)));
}
