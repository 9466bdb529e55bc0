import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ADA, api, folder, messages, onWindows, open, store } from './place';

for (const scheme of ['redb', 'fs']) {
  test(`a store of ${scheme} that goes while it is open is told as gone, and reopening goes on`, async (t) => {
    const place = folder();
    const at = join(place, 'store');
    const workspace = await open(scheme === 'redb' ? `redb:${join(at, 'nofx.redb')}` : `fs:${at}`);
    t.after(() => workspace.close());
    const { id } = await workspace.createSession({ agent: ADA });
    await workspace.addMessages(id, messages(2));
    renameSync(at, join(place, 'elsewhere'));
    for (let again = 0; again < 2; again += 1) {
      await assert.rejects(workspace.addMessages(id, messages(1)), (error) => {
        assert.ok(error instanceof api.GoneError, String(error));
        assert.match(error.nextStep, /put the store back/);
        return true;
      });
      await assert.rejects(workspace.session(id), api.GoneError);
    }
    // Put back: it continues with everything that it had.
    renameSync(join(place, 'elsewhere'), at);
    await workspace.reopen();
    assert.equal(await workspace.addMessages(id, messages(1)), 2);

    if (onWindows) {
      return;
    }
    // Removed permanently, as a reset does: reopening creates a new store.
    rmSync(at, { recursive: true });
    await assert.rejects(workspace.addMessages(id, messages(1)), api.GoneError);
    await workspace.reopen();
    assert.equal(await workspace.session(id), null);
    const fresh = await workspace.createSession({ agent: ADA });
    assert.equal(await workspace.addMessages(fresh.id, messages(1)), 0);
  });

  test(`a store of ${scheme} that is replaced while it is open is told, and nothing is written to either`, async (t) => {
    const place = folder();
    const [at, other] = [join(place, 'store'), join(place, 'other')];
    const location = (of: string) => (scheme === 'redb' ? `redb:${join(of, 'nofx.redb')}` : `fs:${of}`);
    const replacement = await open(location(other));
    const theirs = await replacement.createSession({ agent: ADA, name: 'theirs' });
    await replacement.close();
    const workspace = await open(location(at));
    t.after(() => workspace.close());
    const { id } = await workspace.createSession({ agent: ADA });
    renameSync(at, join(dirname(at), 'aside'));
    renameSync(other, at);
    await assert.rejects(workspace.addMessages(id, messages(1)), api.ReplacedError);
    await assert.rejects(workspace.session(id), api.ReplacedError);
    await workspace.reopen();
    assert.equal(await workspace.session(id), null);
    assert.equal((await workspace.session(theirs.id))?.messages, 0);
  });
}

test('a workspace that was closed is opened again', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.close();
  await assert.rejects(workspace.session(id), api.ClosedError);
  await workspace.reopen();
  assert.equal(await workspace.addMessages(id, messages(1)), 0);
});
