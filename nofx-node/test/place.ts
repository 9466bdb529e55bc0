import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type * as nofx from '../dist/index';

/** The package as it was built. */
export const { open, ...api } = require('../dist/index.js') as typeof nofx;

export const ADA = { id: 'ada', name: 'Ada', type: 'backend-specialist' };

/** Creates a folder that is removed with the test. */
export function folder(test: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'nofx-node-'));
  test.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Opens a new store in a file, closed after the test; `another` opens it again, as another window would. */
export async function store(test: TestContext) {
  const opened: nofx.Workspace[] = [];
  // Cleanup after the test runs in this order: a store that is still open may write to its folder.
  test.after(() => Promise.all(opened.map((workspace) => workspace.close())));
  const location = `redb:${join(folder(test), 'store', 'nofx.redb')}`;
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
