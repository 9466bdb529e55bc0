// What people do in the editor, and what they must then see.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { isAlive, until } = require('./editor.js');

const SESSION = 'Harbour "Launch" ⚓ - 9/9/2025';
const MESSAGE = 'Said in the browser';

const ROOT = process.getuid() === 0;

/** A legacy folder is migrated; a message outlives a reload and the killing of the extension host. */
async function migratesAndSurvives({ editor, folder, step, window }) {
  const one = await window();
  await one.open(editor.url(folder));
  // What is told goes away after a while.
  const told = one.page.getByText(/NofX has migrated \d+ files: \d+ sessions, \d+ messages/).first();
  await Promise.all([told.waitFor(), one.item(SESSION).waitFor()]);
  step('the tree shows the migrated sessions');
  for (const group of ['Active', 'Expired', 'Archived']) {
    await one.item(group).waitFor();
  }
  await one.shoot('1-tree');
  await one.conversation(SESSION);
  await one.sees('assistant');
  await one.shoot('2-conversation');
  step('a conversation is open');

  await one.add(MESSAGE);
  await one.sees(MESSAGE);
  await one.shoot('3-message');
  step('a message was added and is shown');

  assert.equal(editor.hosts().length, 1, 'one window has one extension host');
  const took = await reloadsInOrder(one, editor);
  assert.ok(took <= 3000, `closing took ${took} ms`);
  step(`reloading closed the store within ${took} ms`);

  const second = Math.max(...editor.hosts());
  process.kill(second, 'SIGKILL');
  await until('the end of the extension host', () => !isAlive(second));
  await one.shoot('4-killed');
  step(`the extension host, process ${second}, was killed`);
  await one.page.reload();
  await one.item(SESSION).waitFor();
  await one.conversation(SESSION);
  await one.sees(MESSAGE);
  await one.shoot('5-reloaded');
  step('after reloading, the message is there');
}

/** Reloads a window and returns how many milliseconds its extension host took to end. */
async function reloadsInOrder(one, editor) {
  // A page that goes away may lose its last message to the editor, which then keeps the extension host for hours.
  for (let attempt = 1; ; attempt++) {
    const host = Math.max(...editor.hosts());
    await one.page.reload();
    await one.item(SESSION).waitFor();
    try {
      return await until('the end of the extension host in its log', () => editor.endingOf(host), 30);
    } catch (error) {
      if (attempt === 3) throw error;
      console.log(`     again  ${error.message}`);
    }
  }
}

/** The context menu archives and restores. */
async function archivesAndRestores({ editor, folder, step, window }) {
  const one = await window();
  await one.open(editor.url(folder));
  await one.item(SESSION).waitFor();
  assert.notEqual(await one.groupOf(SESSION), 'Archived');
  await one.choose(SESSION, 'Archive session');
  await until('the session among the archived ones', async () => (await one.groupOf(SESSION)) === 'Archived');
  await one.menu(SESSION, 'Restore session');
  assert.equal(await one.page.getByRole('menuitem', { name: 'Archive session' }).count(), 0, 'it is archived already');
  await one.shoot('6-archived');
  step('the context menu has archived a session');

  await one.pick('Restore session');
  const restored = `Restored: ${SESSION}`;
  await until('the restored session', async () => (await one.groupOf(restored)) === 'Active');
  await one.conversation(restored);
  await one.sees(MESSAGE);
  await one.shoot('7-restored');
  step('and restored it, with its messages');
}

/** Two windows on one workspace show what the other adds. */
async function twoWindowsAgree({ editor, folder, step, window }) {
  const session = `Restored: ${SESSION}`;
  const [one, two] = [await window(), await window()];
  for (const each of [one, two]) {
    await each.open(editor.url(folder));
    await each.item(session).waitFor();
    await each.conversation(session);
  }
  for (const [from, to, message] of [[one, two, 'From the first window'], [two, one, 'From the second window']]) {
    await from.add(message);
    await to.sees(message);
    await from.sees(message);
  }
  await one.shoot('8-two-windows');
  step('two windows show what the other one adds');
}

/** While the disk is full, messages are kept in memory with a warning; they are saved when there is room. */
async function keepsWhatTheDiskRefuses({ editor, fresh, step, window, skip, history }) {
  const folder = fresh('full');
  const disk = path.join(folder, '.nofx', 'store');
  fs.mkdirSync(disk, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'nofx', disk], { stdio: 'ignore' });
  } catch {
    skip('a full disk: mounting a small one needs root');
    return;
  }
  try {
    const one = await window();
    await one.open(editor.url(folder));
    await one.item(SESSION).waitFor();
    await one.conversation(SESSION);
    await one.sees('assistant');
    const filler = path.join(disk, 'filler');
    const sent = [];
    const send = async () => {
      // Nothing that a store could make smaller.
      const message = `${sent.length} ${randomBytes(30_000).toString('base64')}`;
      sent.push(message);
      await one.add(message);
    };
    fill(filler);
    while (!(await one.warning().isVisible())) {
      assert.ok(sent.length < 40, 'a full disk is noticed');
      await send();
    }
    await send();
    await until('the count of what is not saved', async () => /[2-9] not saved/.test(await one.warning().innerText()));
    await one.shoot('9-full');
    step(`${sent.length} messages were added, and the window warns that the last ones are not saved`);

    fs.rmSync(filler);
    await one.warning().click();
    await one.warning().waitFor({ state: 'hidden' });
    const after = (await history(folder, SESSION)).map((entry) => entry.message.content);
    assert.deepEqual(after.slice(-sent.length), sent, 'each message once and in order');
    await one.shoot('10-room');
    step('with room again everything is saved, in order');
    await one.page.close();
  } finally {
    // A window that is going may still have a file open.
    execFileSync('umount', ['--lazy', disk]);
  }
}

/** Fills a disk to the last byte. */
function fill(file) {
  const out = fs.openSync(file, 'w');
  try {
    for (let size = 1 << 20; size >= 1; ) {
      try {
        fs.writeSync(out, Buffer.alloc(size, 1));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
        size >>= 1;
      }
    }
  } finally {
    fs.closeSync(out);
  }
}

/** A folder that belongs to someone else is only read. */
async function onlyReadsWhatIsSomeoneElses({ editor, folder, step, window, skip }) {
  if (!ROOT) {
    skip("someone else's folder: giving one away needs root");
    return;
  }
  fs.chownSync(folder, 65_534, 65_534);
  try {
    const one = await window();
    await one.open(editor.url(folder));
    await one.item(SESSION).waitFor();
    await one.page.getByText('Only to read: the folder belongs to someone else.').waitFor();
    await one.conversation(SESSION);
    await one.sees(MESSAGE);
    await nothingCanBeWritten(one);
    await one.shoot('11-foreign');
    step("someone else's folder can be read and not be written");
  } finally {
    fs.chownSync(folder, process.getuid(), process.getgid());
  }
}

async function nothingCanBeWritten(one) {
  assert.equal(await one.offers('NofX: Add message'), false, 'nothing can be added');
  await one.item(SESSION).click({ button: 'right' });
  assert.equal(await one.page.getByRole('menuitem', { name: /session/ }).count(), 0, 'nothing can be archived or restored');
  await one.page.keyboard.press('Escape');
}

/** Without trust everything can be read and nothing be written; with trust it can, and the editor need not watch the store. */
async function onlyReadsWithoutTrust({ editor, folder, step, window }) {
  const one = await window();
  await one.page.goto(editor.url(folder));
  await one.page.getByRole('button', { name: "No, I don't trust the authors" }).click();
  await one.view();
  await one.item(SESSION).waitFor();
  await one.page.getByText('Only to read: the workspace is not trusted.').waitFor();
  await one.conversation(SESSION);
  await one.sees(MESSAGE);
  await nothingCanBeWritten(one);
  await one.shoot('12-untrusted');
  step('without trust everything can be read and nothing be written');

  await one.command('Workspaces: Manage Workspace Trust');
  await one.page.getByRole('button', { name: 'Trust', exact: true }).first().click();
  await one.page.getByText('Only to read:').waitFor({ state: 'hidden' });
  await one.page.getByRole('button', { name: 'Exclude' }).click();
  const settings = path.join(folder, '.vscode', 'settings.json');
  await until('the setting', () => fs.existsSync(settings) && fs.readFileSync(settings, 'utf8').includes('.nofx/store'));
  await one.conversation(`Restored: ${SESSION}`);
  await one.add('With trust');
  await one.sees('With trust');
  await one.shoot('13-trusted');
  step('with trust messages can be added, and the store is excluded from watching');
}

module.exports = {
  trusted: [migratesAndSurvives, archivesAndRestores, twoWindowsAgree, keepsWhatTheDiskRefuses, onlyReadsWhatIsSomeoneElses],
  asked: [onlyReadsWithoutTrust],
  SESSION,
};
