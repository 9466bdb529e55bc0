import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import { ADA, api, folder, messages, open } from './place';

for (const { feature, at, backend, file } of [
  { feature: 'redb', at: (path: string) => `redb:${path}`, backend: 'redb', file: '' },
  { feature: 'fs', at: (path: string) => `fs:${path}`, backend: 'fs', file: 'config.json' },
  { feature: 'remote', at: (path: string) => pathToFileURL(path).href, backend: 'file', file: '' },
]) {
  test(`a location of the cargo feature ${feature} opens, or is refused by its name`, async (t) => {
    const path = join(folder(t), 'store');
    const opened = await open(at(path)).catch((error: unknown) => error);
    if (opened instanceof Error) {
      assert.ok(opened instanceof api.InvalidError, String(opened));
      assert.match(opened.message, new RegExp(`needs the cargo feature \`${feature}\`, which this build leaves out`));
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
