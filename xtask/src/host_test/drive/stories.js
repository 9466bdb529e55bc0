// What users do in the editor, and what they must then see.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { isAlive, until } = require('./editor.js');

const SESSION = 'Harbour "Launch" ⚓ - 9/9/2025';
/** The last message in it. */
const LAST = 'The DKIM record had a line break in it';
const MESSAGE = 'Said in the browser';

const RESTORE = 'Restore in a New Conversation';

const ROOT = process.getuid() === 0;

/** A legacy folder is migrated; a message survives a reload and the killing of the extension host. */
async function migratesAndSurvives({ editor, folder, step, window }) {
  const one = await window();
  await one.open(editor.url(folder));
  // Notifications disappear after a while.
  const told = one.page.getByText(/NofX has imported \d+ conversations with \d+ messages from \d+ files/).first();
  await Promise.all([told.waitFor(), one.item(SESSION).waitFor()]);
  step('the tree shows the conversations of the old version');
  for (const group of ['Active', 'Expired', 'Archived']) {
    await one.item(group).waitFor();
  }
  await one.shoot('1-tree');
  await one.conversation(SESSION);
  await one.sees(LAST);
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
  // A page that is closed may lose its last message to the editor, which then keeps the extension host for hours.
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
  await one.choose(SESSION, 'Archive', async () => (await one.groupOf(SESSION)) === 'Archived');
  await one.menu(SESSION, RESTORE);
  assert.equal(await one.page.getByRole('menuitem', { name: 'Archive' }).count(), 0, 'it is archived already');
  await one.shoot('6-archived');
  step('the context menu has archived a session');

  const restored = `Restored: ${SESSION}`;
  await one.pick(RESTORE, async () => (await one.groupOf(restored)) === 'Active');
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
async function keepsWhatTheDiskRefuses({ editor, fresh, step, window, skip, store }) {
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
    await one.sees(LAST);
    const filler = path.join(disk, 'filler');
    const sent = [];
    const send = async () => {
      // Random, so that a store cannot compress it.
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
    const after = await saidIn(store, folder, SESSION);
    assert.deepEqual(after.slice(-sent.length), sent, 'each message once and in order');
    await one.shoot('10-room');
    step('with room again everything is saved, in order');
    await one.page.close();
  } finally {
    // A window that is closing may still have a file open.
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

/** A folder that belongs to another user is read-only. */
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
    await one.page.getByText('Read-only: the folder belongs to someone else.').waitFor();
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
  assert.equal(await one.offers('NofX: Add Message'), false, 'nothing can be added');
  await one.item(SESSION).click({ button: 'right' });
  assert.equal(await one.page.getByRole('menuitem', { name: /Archive|Restore|Trash|Task/ }).count(), 0, 'nothing can be changed');
  await one.page.keyboard.press('Escape');
}

/** Without trust, everything can be read and nothing written; with trust it can. */
async function onlyReadsWithoutTrust({ editor, folder, step, window }) {
  const one = await window();
  await one.page.goto(editor.url(folder));
  await one.page.getByRole('button', { name: "No, I don't trust the authors" }).click();
  await one.view();
  await one.item(SESSION).waitFor();
  await one.page.getByText('Read-only: the workspace is not trusted.').waitFor();
  await one.conversation(SESSION);
  await one.sees(MESSAGE);
  await nothingCanBeWritten(one);
  await one.shoot('12-untrusted');
  step('without trust everything can be read and nothing be written');

  await one.command('Workspaces: Manage Workspace Trust');
  await one.page.getByRole('button', { name: 'Trust', exact: true }).first().click();
  await one.page.getByText('Read-only:').waitFor({ state: 'hidden' });
  await one.conversation(`Restored: ${SESSION}`);
  await one.add('With trust');
  await one.sees('With trust');
  await one.shoot('13-trusted');
  step('with trust messages can be added');
}

/** An empty workspace says what to do first; an agent, a conversation and its tasks are made from there. */
async function beginsFromNothing({ editor, empty, step, window }) {
  const one = await window();
  await one.open(editor.url());
  await one.button('Open Folder').waitFor();
  await one.shoot('20-no-folder');
  step('without a folder the view offers to open one');

  await one.open(editor.url(empty('new')));
  for (const text of ['There are no conversations yet.', 'There are no agents yet.', 'Open a conversation to see its tasks.']) {
    await one.page.getByText(text).first().waitFor();
  }
  await one.shootBoth('21-welcome');
  step('an empty workspace says what can be done');

  await one.button('New Agent').click();
  await one.answer('What is the agent called?', 'Ada');
  await one.pickOffered('New template');
  await one.answer('What is the template called?', 'Harbour Pilot');
  await one.answer('What should agents made from it', 'Bring the ships in, the late ones first.');
  await one.item('harbour-pilot').waitFor();
  await one.item('Ada').click();
  await one.item('0 conversations').waitFor();
  await one.item('Harbour Pilot').click();
  await one.sees('Bring the ships in');
  step('an agent was made from a new template, which can be read');

  await one.button('New Conversation').click();
  await one.pickOffered('Ada');
  await one.answer('What is the conversation about?', 'Ships that are late');
  await one.conversation('Ships that are late');
  await one.add('Which ones are late?');
  await one.sees('Which ones are late?');
  await one.button('Start a Task').click();
  await one.answer('What is to be done?', 'Find the late ships');
  await one.item('in progress').waitFor();
  await one.act('in progress', 'Mark Task as Done');
  await one.asked('NofX: Start a Task', 'What is to be done?');
  await one.answer('What is to be done?', 'Call their captains');
  await one.item('Call their captains').waitFor();
  for (const told of ['Task complete', 'Assign task']) {
    await one.item(told).waitFor();
  }
  await one.item('1 conversation').waitFor();
  await one.shootBoth('22-product');
  step('a conversation has tasks, and what agents are told and report is listed');
}

/** Search finds messages in any conversation as the user types, and opens them there. */
async function findsWhatWasSaid({ editor, fresh, step, store, window }) {
  const [one, folder] = [await window(), fresh('search')];
  await one.open(editor.url(folder));
  await one.item(SESSION).waitFor();
  await one.command('NofX: Search All Conversations');
  const found = await one.offered('line break DKIM', LAST);
  await one.shoot('23-search');
  await found.click();
  await one.page.getByRole('tab', { name: SESSION.replaceAll('/', ' '), selected: true }).first().waitFor();
  await one.sees(LAST);
  step('search finds a message and opens its conversation');

  const old = 'Scrape the barnacles off';
  await store(folder, async (workspace) => {
    const { id } = await workspace.createSession({ agent: { id: 'ada', name: 'Ada', type: 'harbour-pilot' }, name: 'Long haul' });
    const messages = Array.from({ length: 2500 }, (_, at) => ({ type: 'user', content: at === 900 ? old : `Knots in watch ${at}` }));
    await workspace.addMessages(id, messages);
  });
  await one.command('NofX: Search All Conversations');
  await (await one.offered('barnacles', old)).click();
  await one.shows(old);
  await one.shoot('23-search-old');
  step('search opens a long conversation at the message that it found');
}

/** Conversations that expire soon are announced before, expired ones afterwards; both can be answered. */
async function tellsWhatExpires({ editor, empty, store, step, window }) {
  const folder = empty('expiry');
  const agent = { id: 'ada', name: 'Ada', type: 'harbour-pilot' };
  await store(folder, async (workspace) => {
    await workspace.createSession({ agent, name: 'Night watch', lifetimeMs: 25 * 60_000 });
    await workspace.createSession({ agent, name: 'Day watch', lifetimeMs: 25 * 60_000 });
    await workspace.createSession({ agent, name: 'Old watch', lifetimeMs: 1 });
  });
  const one = await window();
  await one.open(editor.url(folder));
  // Both at once: notifications disappear after a while.
  await Promise.all([one.item('Night watch').waitFor(), one.page.getByText('“Night watch” expires at').first().waitFor()]);
  await one.shoot('24-expiry');
  await one.reply('“Night watch” expires at', 'Archive');
  await until('it among the archived ones', async () => (await one.groupOf('Night watch')) === 'Archived');
  await one.reply('“Day watch” expires at', 'Keep Open');
  const state = (name) => store(folder, async (workspace) => (await workspace.summaryPage({ text: name })).items[0].state);
  await until('more time', async () => (await state('Day watch')) === 'active');
  step('what expires soon was told, and was archived and kept open');
  await one.reply('“Old watch” has expired.', 'Restore');
  await until('it in another conversation', async () => (await one.groupOf('Restored: Old watch')) === 'Active');
  step('what has expired was told, and was restored');
}

/** A cleanup shows what it will do and then does it; a conversation is exported; all data can be cleared. */
async function keepsThingsInOrder({ editor, fresh, store, step, window }) {
  const folder = fresh('care');
  const one = await window();
  await one.open(editor.url(folder));
  await one.item(SESSION).waitFor();
  const planned = await store(folder, (workspace) => workspace.cleanupPreview({ archiveAfterMs: 30 * 86_400_000 }));
  await one.warned('NofX: Clean Up Old Conversations', `Archive: ${planned.archive.length} conversations`);
  assert.equal(await one.groupOf(SESSION), 'Expired', 'a preview changes nothing');
  await one.shootBoth('25-cleanup');
  await one.decide('Clean Up');
  await until('the old conversations in the archive', async () => (await one.groupOf(SESSION)) === 'Archived');
  step('a cleanup has done what its preview said');

  await one.choose(SESSION, 'Export as Markdown', () => one.asksWhereToSave());
  await one.save();
  const exported = () => fs.readdirSync(folder).find((name) => name.endsWith('.md'));
  await until('the exported file', () => exported() && fs.readFileSync(path.join(folder, exported()), 'utf8').includes(LAST));
  await one.page.getByRole('tab', { name: /\.md/, selected: true }).waitFor();
  step('a conversation was exported as Markdown');

  await one.choose(SESSION, 'Move to the Trash', () => one.item('Trash').isVisible());
  await one.warned('NofX: Clear All Data', 'This cannot be undone');
  await one.shoot('26-clear');
  await one.decide('Clear All Data');
  await one.page.getByText('There are no conversations yet.').waitFor();
  const { agents, sessions, trash } = await store(folder, (workspace) => workspace.stats());
  assert.deepEqual([agents, sessions, trash], [0, 0, 0]);
  assert.ok(fs.existsSync(path.join(folder, '.nofx', 'agents.json')), 'the old files stay');
  await one.shoot('27-cleared');
  step('all data was cleared, and the old files stay');
}

/** Returns the messages in the newest session of a name. */
function saidIn(store, folder, name) {
  return store(folder, async (workspace) => {
    const { items } = await workspace.summaryPage({ text: name });
    return (await workspace.history(items[0].session.id).all()).map((entry) => entry.message.content);
  });
}

module.exports = {
  trusted: [
    migratesAndSurvives,
    archivesAndRestores,
    twoWindowsAgree,
    beginsFromNothing,
    findsWhatWasSaid,
    tellsWhatExpires,
    keepsThingsInOrder,
    keepsWhatTheDiskRefuses,
    onlyReadsWhatIsSomeoneElses,
  ],
  asked: [onlyReadsWithoutTrust],
  SESSION,
};
