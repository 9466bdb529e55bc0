import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NewMessage } from '../dist/index';
import { ADA, folder, messages, open, store } from './place';

test('a history is read in either direction, in parts and page by page', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(10));
  const read = async (options: object) => {
    const positions = [];
    for await (const entry of workspace.history(id, options)) positions.push(entry.position);
    return positions;
  };
  assert.deepEqual(await read({}), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(await read({ pageSize: 3 }), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(await read({ pageSize: 5 }), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(await read({ pageSize: 3, newestFirst: true }), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  assert.deepEqual(await read({ from: 4, to: 6 }), [4, 5]);
  assert.deepEqual(await read({ from: 2, to: 7, pageSize: 2, newestFirst: true }), [6, 5, 4, 3, 2]);
  assert.deepEqual(await read({ from: 10 }), []);

  const sizes = [];
  for await (const page of workspace.history(id, { pageSize: 4 }).pages()) sizes.push(page.length);
  assert.deepEqual(sizes, [4, 4, 2]);
});

test('what is left early stays readable', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(id, messages(10));
  for await (const entry of workspace.history(id, { newestFirst: true, pageSize: 2 })) {
    assert.equal(entry.position, 9);
    break;
  }
  const iterator = workspace.history(id, { pageSize: 2 })[Symbol.asyncIterator]();
  await iterator.next();
  await workspace.addMessages(id, messages(1));
  let last = -1;
  for (let step = await iterator.next(); !step.done; step = await iterator.next()) last = step.value.position;
  assert.equal(last, 10, 'who reads on sees what was added');
});

test('contents come back as JavaScript has them', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, name: 'cut \ud83d here' });
  const odd: NewMessage = {
    type: 'user',
    content: 'half \ud83d of \u0000 a \u2028 line, 漢字, 😀',
    metadata: { files: ['a.ts'], deep: [[{ '': null }]], '\udc00': 1 },
    $writer: 'not the store\'s',
    $$x: 1,
    extra: 1e300,
  };
  await workspace.addMessage(id, odd);
  const [entry] = await workspace.history(id).all();
  assert.ok(entry);
  const { id: messageId, timestamp, ...message } = entry.message;
  assert.deepEqual(message, odd);
  assert.match(messageId ?? '', /^msg-/);
  assert.equal(timestamp, entry.at);
  assert.ok(entry.writer && entry.writer !== odd.$writer);
  assert.equal((await workspace.session(id))?.session.name, 'cut \ud83d here');

  const summary = (await workspace.summaryPage({ agent: 'ada' })).items[0];
  assert.equal(summary?.session.name, 'cut \ud83d here');
});

test('ids may hold what no string of UTF-8 can', async (t) => {
  const { workspace } = await store(t);
  const { id, agentId } = await workspace.createSession({ agent: { id: 'a\ud83d', name: 'A', type: 'x' } });
  assert.equal(agentId, 'a\ud83d');
  await workspace.addMessages(id, messages(2));
  assert.equal((await workspace.history(id).all()).length, 2);
  assert.equal((await workspace.summaryPage({ agent: 'a\ud83d' })).items.length, 1);
});

test('a message of megabytes makes pages short, not memory large', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  const large = 'x'.repeat(3 << 20);
  for (let at = 0; at < 3; at += 1) await workspace.addMessage(id, { type: 'tool', content: large });
  const sizes = [];
  for await (const page of workspace.history(id).pages()) sizes.push(page.length);
  assert.deepEqual(sizes, [2, 1]);
});

test('a damaged message is an item that says so, and everything around it is read', async (t) => {
  const place = join(folder(), 'kept');
  const written = await open(`fs:${place}`);
  const { id } = await written.createSession({ agent: ADA });
  await written.addMessages(id, messages(300, 'text'));
  await written.close();
  const file = join(place, 'sessions/active', id, 'history.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('text 101"', 'text 1o1"'));

  const workspace = await open(`fs:${place}`, { create: false });
  t.after(() => workspace.close());
  for (const options of [{}, { pageSize: 50 }, { newestFirst: true, pageSize: 7 }]) {
    const read = [];
    for await (const entry of workspace.history(id, options)) read.push(entry);
    assert.equal(read.length, 300);
    assert.deepEqual(read.filter((entry) => entry.unreadable !== undefined).map(({ position, code }) => [position, code]), [
      [101, 'corrupt'],
    ]);
  }
  assert.ok((await workspace.exportMarkdown(id)).includes('### Message 101 cannot be read'));
  assert.ok((await workspace.exportHtml(id)).includes('<h2>Message 101 cannot be read</h2>'));
  const text = await workspace.exportJson(id);
  assert.equal(JSON.parse(text).messages[101].code, 'corrupt');
  const imported = await workspace.importSession(text, { newId: true });
  const marks = (await workspace.history(imported.id).all()).flatMap(({ position, message }) => (message.unreadable ? [position] : []));
  assert.deepEqual(marks, [101]);
});

/** Replaces a text in the file that contains it. */
function replace(folder: string, text: string, by: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      replace(path, text, by);
    } else if (!path.includes('journal') && readFileSync(path).includes(text)) {
      writeFileSync(path, readFileSync(path, 'utf8').replace(text, by));
    }
  }
}

test('the newest messages are one read, and those of a time are found wherever they stand', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  assert.deepEqual(await workspace.tail(id, 5), []);
  for (const at of [3, 1, 2]) {
    const timestamp = `2024-01-0${at}T00:00:00.000Z`;
    await workspace.addMessages(id, messages(4, `day ${at}`).map((message) => ({ ...message, timestamp })));
  }
  assert.deepEqual((await workspace.tail(id, 5)).map(({ position }) => position), [7, 8, 9, 10, 11]);
  assert.deepEqual((await workspace.tail(id, 100)).length, 12);
  assert.deepEqual(await workspace.tail(id, 0), []);
  const since = '2024-01-02T00:00:00.000Z';
  const positions = (await workspace.history(id, { since, pageSize: 3 }).all()).map(({ position }) => position);
  assert.deepEqual(positions, [0, 1, 2, 3, 8, 9, 10, 11]);
  await assert.rejects(workspace.history(id, { since: 'yesterday' }).all(), /`since`/);
});

test('a damaged agent and a damaged template are items that say so, and all around them are read', async (t) => {
  const place = join(folder(), 'kept');
  const written = await open(`fs:${place}`);
  await written.saveAgents(['ada', 'bob', 'eve'].map((id) => ({ ...ADA, id, name: `name of ${id}` })));
  for (const id of ['one', 'two', 'three']) await written.saveTemplate({ id, systemPrompt: `prompt ${id}` });
  await written.close();
  replace(place, 'name of bob', 'name of b0b');
  replace(place, 'prompt two', 'prompt tw0');

  const workspace = await open(`fs:${place}`, { create: false });
  t.after(() => workspace.close());
  const told = ({ unreadable, code, id }: { unreadable?: string; code?: unknown; id?: string }) =>
    unreadable === undefined ? id : code;
  assert.deepEqual((await workspace.agents().all()).map(told), ['ada', 'corrupt', 'eve']);
  assert.deepEqual((await workspace.templates().all()).map(told), ['one', 'three', 'corrupt']);
  await assert.rejects(workspace.replaceAgents([ADA]), { code: 'corrupt' });
});

test('a damaged checkpoint and a damaged message between agents are items that say so', async (t) => {
  const place = join(folder(), 'kept');
  const written = await open(`fs:${place}`);
  for (const number of [0, 1, 2]) await written.saveCheckpoint('ada', `question ${number}`, 'answer');
  await written.saveOrchestrations([0, 1, 2].map((number) => ({ type: 'status', payload: `word ${number}` })));
  await written.close();
  replace(place, 'question 1"', 'question l"');
  replace(place, 'word 1"', 'word l"');

  const workspace = await open(`fs:${place}`, { create: false });
  t.after(() => workspace.close());
  const told = ({ unreadable, code }: { unreadable?: string; code?: unknown }) => (unreadable === undefined ? 'read' : code);
  assert.deepEqual((await workspace.checkpoints('ada')).map(told), ['read', 'corrupt', 'read']);
  assert.deepEqual((await workspace.orchestrationHistory().all()).map(told), ['read', 'corrupt', 'read']);
  await workspace.saveOrchestration({ type: 'status' });
});

test('long texts of any script come back as they were written, and stay as they are when memory is collected', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA });
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (const letter of ['a', 'ü', '漢', '😀']) {
    const content = letter.repeat(30_000);
    const at = await workspace.addMessage(id, { type: 'user', content });
    const texts: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      texts.push(await workspace.exportMarkdown(id));
      assert.equal((await workspace.tail(id, 1))[0]?.message.content, content);
    }
    collect();
    assert.ok(texts.every((text) => text.includes(content) && text === texts[0]), letter);
    assert.equal((await workspace.tail(id, 1))[0]?.position, at);
  }
});
