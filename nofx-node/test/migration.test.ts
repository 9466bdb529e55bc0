import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MigrationProgress } from '../dist/index';
import { api, folder, open, store } from './place';

const LEGACY = join(__dirname, '../../samples/legacy/.nofx');

test('a legacy folder is migrated, verified and readable', async (t) => {
  assert.ok(existsSync(LEGACY));
  const { workspace } = await store(t);
  const seen: MigrationProgress[] = [];
  const report = await workspace.migrate(LEGACY, { onProgress: (progress) => seen.push(progress) });
  assert.equal(report.complete, true, report.text);
  assert.ok((report.added.sessions ?? 0) > 10, JSON.stringify(report.added));
  assert.match(report.text, /verified: the target has everything/);
  const last = seen.at(-1);
  assert.equal(last?.phase, 'verifying');
  assert.equal(last?.files, last?.totalFiles);

  let listed = 0;
  let read = 0;
  for await (const summary of workspace.summaries()) {
    listed += 1;
    const all = await workspace.history(summary.session.id).all();
    assert.equal(all.length, summary.messages, summary.session.id);
    read += all.length;
  }
  assert.equal(listed, report.added.sessions);
  t.diagnostic(`${listed} sessions, ${read} messages`);

  const again = await workspace.migrate(LEGACY);
  assert.deepEqual(Object.values(again.added).filter((count) => count > 0), []);
});

test('a dry run writes nothing, and what is no legacy folder is refused', async (t) => {
  const { workspace } = await store(t);
  const report = await workspace.migrate(LEGACY, { dryRun: true });
  assert.ok(report.files > 10);
  assert.equal((await workspace.summaryPage()).items.length, 0);
  await assert.rejects(workspace.migrate(join(folder(), 'none')), (error) => {
    assert.ok(error instanceof api.InvalidError);
    assert.match(error.message, /does not exist; name a/);
    return true;
  });
  const inside = await open(`redb:${join(folder(), 'x.redb')}`);
  const both = await Promise.allSettled([inside.migrate(LEGACY), inside.migrate(LEGACY)]);
  const refused = both.filter((one) => one.status === 'rejected');
  assert.equal(refused.length, 1);
  assert.ok(refused[0]?.reason instanceof api.UnavailableError);
  await inside.close();
});

test('agents and sessions come back with their templates and prompts', async (t) => {
  const { workspace } = await store(t);
  await workspace.migrate(LEGACY);
  interface Legacy {
    id: string;
    template?: unknown;
    systemPrompt?: string;
  }
  const read = (path: string) => JSON.parse(readFileSync(join(LEGACY, path), 'utf8')) as unknown;
  const { agents } = read('agents.json') as { agents: Legacy[] };
  const withContent = agents.filter((agent) => typeof agent.template === 'object' && agent.template !== null);
  assert.ok(withContent.length > 1);
  const listed = await workspace.agents().all();
  for (const agent of agents) {
    const template = agent.template ?? undefined;
    assert.deepEqual(listed.find(({ id }) => id === agent.id)?.['template'] ?? undefined, template, agent.id);
    assert.deepEqual((await workspace.agent(agent.id))?.['template'] ?? undefined, template, agent.id);
  }
  let compared = 0;
  for (const name of readdirSync(join(LEGACY, 'sessions')).filter((name) => /^(restored-)*session-.*\.json$/.test(name))) {
    const session = read(join('sessions', name)) as Legacy;
    const summary = await workspace.session(session.id);
    if (!summary || typeof session.template !== 'object' || session.template === null) continue;
    assert.deepEqual(summary.session['template'], session.template, name);
    assert.equal(summary.session['systemPrompt'], session.systemPrompt, name);
    compared += 1;
  }
  assert.ok(compared > 5, `${compared}`);
});
