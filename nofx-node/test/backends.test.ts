import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import type { OpenOptions } from '../dist/index';
import { ADA, api, folder, messages, open } from './place';

for (const { feature, at, backend, file } of [
  { feature: 'redb', at: (path: string) => `redb:${path}`, backend: 'redb', file: '' },
  { feature: 'fs', at: (path: string) => `fs:${path}`, backend: 'fs', file: 'config.json' },
  { feature: 'remote', at: (path: string) => pathToFileURL(path).href, backend: 'file', file: '' },
]) {
  test(`a location of the cargo feature ${feature} opens, or is refused by its name`, async (t) => {
    const path = join(folder(), 'store');
    const opened = await open(at(path)).catch((error: unknown) => error);
    if (opened instanceof Error) {
      assert.ok(opened instanceof api.InvalidError, String(opened));
      assert.match(opened.message, new RegExp(`needs the cargo feature \`${feature}\`, which this build does not include`));
      t.skip(`this build leaves out ${feature}`);
      return;
    }
    const workspace = opened as Awaited<ReturnType<typeof open>>;
    assert.equal(workspace.info().backend, backend);
    const { id } = await workspace.createSession({ agent: ADA });
    await workspace.addMessages(id, messages(3));
    await workspace.close();
    assert.ok(existsSync(join(path, file)));

    const again = await open(at(path), { readOnly: true });
    assert.deepEqual((await again.history(id).all()).map((entry) => entry.message.content), ['hello 0', 'hello 1', 'hello 2']);
    await assert.rejects(again.addMessages(id, messages(1)), api.NofxError);
    await again.close();
  });
}

test('a store is made with a journal unless asked otherwise, and opened without a word of it', async () => {
  const path = join(folder(), 'store.redb');
  const location = `redb:${path}`;
  const made = await open(location);
  const { id } = await made.createSession({ agent: ADA });
  await made.addMessages(id, messages(3));
  assert.ok(existsSync(`${path}-journal`));
  const copies = await Promise.all([true, false].map(async (journal) => {
    const copy = join(folder(), 'copy.redb');
    await made.backup(`redb:${copy}`, { journal });
    assert.equal(existsSync(`${copy}-journal`), journal);
    return `redb:${copy}`;
  }));
  await made.close();
  for (const [at, copy] of [location, ...copies].entries()) {
    // An existing store stays as it was created.
    for (const [round, options] of ([{}, { journal: true }, { journal: false }, { readOnly: true }] as OpenOptions[]).entries()) {
      const workspace = await open(copy, options);
      assert.equal((await workspace.history(id).all()).length, 3 + round);
      if (!options.readOnly) {
        await workspace.addMessages(id, messages(1));
      }
      await workspace.close();
    }
    assert.equal(existsSync(`${copy.slice('redb:'.length)}-journal`), at < 2);
  }
  await assert.rejects(open(location, { journal: 1 as never }), api.InvalidError);
});

test('a legacy folder is migrated into a store with a journal', async () => {
  const path = join(folder(), 'store.redb');
  const workspace = await open(`redb:${path}`);
  const report = await workspace.migrate(join(__dirname, '../../samples/legacy/.nofx'));
  assert.equal(report.complete, true, report.text);
  await workspace.close();
  assert.ok(existsSync(`${path}-journal`));
  const again = await open(`redb:${path}`);
  assert.ok((await again.stats()).sessions > 10);
  assert.equal((await again.doctor()).damaged, 0);
  await again.close();
});
