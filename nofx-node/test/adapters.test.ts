import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { type Checkpoint, emptyCheckpoint, INTERRUPT, uuid6 } from '@langchain/langgraph-checkpoint';
import type { AgentInputItem } from '@openai/agents-core';
import type * as claude from '../dist/adapters/claude';
import type * as langchain from '../dist/adapters/langchain';
import type * as langgraph from '../dist/adapters/langgraph';
import type * as openai from '../dist/adapters/openai';
import { api, store } from './place';

const { NofxSaver } = require('../dist/adapters/langgraph.js') as typeof langgraph;
const { NofxSessionStore } = require('../dist/adapters/claude.js') as typeof claude;
const { NofxSession } = require('../dist/adapters/openai.js') as typeof openai;
const { NofxChatMessageHistory } = require('../dist/adapters/langchain.js') as typeof langchain;

const META = { source: 'loop', step: 0, parents: {} } as const;

function checkpoint(step: number, channel_values: Record<string, unknown>): Checkpoint {
  const channel_versions = Object.fromEntries(Object.keys(channel_values).map((name) => [name, step]));
  return { ...emptyCheckpoint(), id: uuid6(step), channel_values, channel_versions };
}

test('branches of a LangGraph thread keep their own values under equal versions, and share what did not change', async (t) => {
  const { workspace, another } = await store(t);
  const saver = new NofxSaver(workspace);
  const thread = { configurable: { thread_id: 'a/b '.repeat(200), checkpoint_ns: '' } };
  const root = await saver.put(thread, checkpoint(1, { topic: 'lists', said: ['a'] }), META, { topic: 1, said: 1 });
  const left = await saver.put(root, checkpoint(2, { topic: 'lists', said: ['a', 'left'] }), META, { said: 2 });
  const right = await saver.put(root, checkpoint(2, { topic: 'lists', said: ['a', 'right'] }), META, { said: 2 });
  const other = await another();
  const values = async (config: typeof root) => (await new NofxSaver(other).getTuple(config))?.checkpoint.channel_values;
  assert.deepEqual(await values(left), { topic: 'lists', said: ['a', 'left'] });
  assert.deepEqual(await values(right), { topic: 'lists', said: ['a', 'right'] });
  assert.deepEqual(await values(thread), await values(right), 'the newest is found without its id');
  const kept = await workspace.records('langgraph').scan({ kind: 'value' }).all();
  assert.equal(kept.length, 4, 'each value that changed, once');
  assert.equal(await new NofxSaver(workspace, { name: 'other' }).getTuple(thread), undefined);
  await saver.deleteThread(String(thread.configurable.thread_id));
  assert.deepEqual(await workspace.records('langgraph').scan().all(), []);
});

test('a checkpoint keeps what did not change also when another process has put its parent again or has deleted it', async (t) => {
  const { workspace, another } = await store(t);
  const [saver, other] = [new NofxSaver(workspace), new NofxSaver(await another())];
  const thread = { configurable: { thread_id: 't', checkpoint_ns: '' } };
  const first = checkpoint(1, { topic: 'lists', said: ['a'] });
  const root = await saver.put(thread, first, META, { topic: 1, said: 1 });
  // The same checkpoint, so that its values are where they were, and its record has another version.
  await other.put(thread, first, META, { topic: 1, said: 1 });
  const next = await saver.put(root, checkpoint(2, { topic: 'lists', said: ['a', 'b'] }), META, { said: 2 });
  assert.deepEqual((await other.getTuple(next))?.checkpoint.channel_values, { topic: 'lists', said: ['a', 'b'] });

  await other.deleteThread('t');
  // What was to be reused is gone.
  const after = await saver.put(next, checkpoint(3, { topic: 'lists', said: ['c'] }), META, { said: 3 });
  assert.deepEqual((await other.getTuple(after))?.checkpoint.channel_values, { said: ['c'] });
  const topic = await saver.put(after, checkpoint(4, { topic: 'lists', said: [0] }), META, { topic: 4, said: 4 });
  const many = Array.from({ length: 40 }, (_, at) => saver.put(topic, checkpoint(5 + at, { topic: 'lists', said: [at] }), META, { said: at }));
  assert.equal((await Promise.all(many)).length, 40);
  assert.deepEqual((await other.getTuple(thread))?.checkpoint.channel_values, { topic: 'lists', said: [39] });
});

test('writes of a LangGraph task that are repeated or come from two processes are kept once, and an interrupt is replaced', async (t) => {
  const { workspace, another } = await store(t);
  const other = await another();
  const savers = [new NofxSaver(workspace), new NofxSaver(other)];
  const [saver, second] = savers as [langgraph.NofxSaver, langgraph.NofxSaver];
  const config = await saver.put({ configurable: { thread_id: 't' } }, checkpoint(1, {}), META, {});
  const writes: [string, unknown][] = [['a', 1], ['b', new Uint8Array([255, 0])]];
  await Promise.all(savers.flatMap((of) => [of.putWrites(config, writes, 'task', 'p'), of.putWrites(config, [['c', 3]], 'last', 'q')]));
  await saver.putWrites(config, [['a', 'another']], 'task', 'p');
  await saver.putWrites(config, [[INTERRUPT, 'first']], 'task', 'p');
  await second.putWrites(config, [[INTERRUPT, 'again']], 'task', 'p');
  const pending = (await second.getTuple(config))?.pendingWrites;
  assert.deepEqual(pending, [['task', INTERRUPT, 'again'], ['task', 'a', 1], ['task', 'b', new Uint8Array([255, 0])], ['last', 'c', 3]]);
});

test('a Claude transcript has each entry once, whichever caller appends it and however often, in the order of the calls', async (t) => {
  const { workspace, another } = await store(t);
  const other = await another();
  const [one, two] = [new NofxSessionStore(workspace), new NofxSessionStore(other)];
  const key = { projectKey: 'p/1', sessionId: 's' };
  const entry = (at: number) => ({ type: 'user', uuid: `u${at}`, at });
  for (let at = 0; at < 20; at += 1) void one.append(key, [entry(at), entry(at)]);
  await one.append(key, []);
  assert.deepEqual(await one.load(key), Array.from({ length: 20 }, (_, at) => entry(at)));
  await Promise.all([0, 5, 10, 15].flatMap((at) => [one, two].map((of) => of.append(key, [entry(at + 10), entry(at + 11)]))));
  const loaded = (await two.load(key)) ?? [];
  const ids = [...Array(22).keys(), 25, 26].map((at) => `u${at}`);
  assert.deepEqual(loaded.map(({ uuid }) => uuid).sort(), ids.sort());
  await one.append(key, [{ type: 'title', title: 'same' }]);
  await one.append(key, [{ type: 'title', title: 'same' }]);
  assert.equal((await one.load(key))?.length, 26, 'an entry without an id is kept each time');

  const below = { ...key, subpath: 'subagents/a' };
  await two.append(below, [entry(0)]);
  assert.deepEqual([await one.listSubkeys(key), (await one.listSessions('p/1')).length], [['subagents/a'], 1]);
  assert.equal(one.listSessionSummaries, undefined, 'without the function of the SDK');
  await one.delete(key);
  assert.deepEqual([await two.load(key), await two.load(below), await two.listSessions('p/1')], [null, null, []]);
  await two.append(key, [entry(0)]);
  assert.deepEqual(await one.load(key), [entry(0)], 'begun again');
});

test('an OpenAI session is rewritten, changed once for each operation, and keeps bytes', async (t) => {
  const { workspace, another } = await store(t);
  const session = new NofxSession(workspace, 'thread-1');
  const user = (content: string): AgentInputItem => ({ type: 'message', role: 'user', content });
  const call = (callId: string, name: string) => ({ type: 'function_call' as const, callId, name, arguments: '{}' });
  await session.addItems([user('a'), call('1', 'old'), user('b'), call('1', 'twice'), user('c')]);
  await session.applyHistoryMutations({ mutations: [{ type: 'replace_function_call', callId: '1', replacement: call('1', 'new') }] });
  assert.deepEqual(await session.getItems(), [user('a'), call('1', 'new'), user('b'), user('c')]);
  assert.deepEqual(await session.getItems(2), [user('b'), user('c')]);
  assert.deepEqual([await session.getItems(0), await session.getItems(99)], [[], await session.getItems()]);

  const replace = { type: 'replace_suffix' as const, expectedSuffix: [user('b'), user('c')], replacement: [user('d')] };
  for (const of of [session, new NofxSession(workspace, 'thread-1')]) {
    await of.applyHistoryTransaction({ operationId: 'x', transaction: replace });
  }
  const after = [user('a'), call('1', 'new'), user('d')];
  assert.deepEqual(await session.getItems(), after);
  await assert.rejects(session.applyHistoryTransaction({ operationId: 'y', transaction: replace }), api.InvalidError);
  const append = { type: 'append_items' as const, items: [user('e')] };
  await assert.rejects(session.applyHistoryTransaction({ operationId: 'x', transaction: append }), /another transaction/);
  await assert.rejects(session.applyHistoryTransaction({ operationId: ' ', transaction: append }), api.InvalidError);
  assert.deepEqual(await session.getItems(), after);
  await session.applyHistoryTransaction({ operationId: 'z', transaction: append });
  assert.deepEqual(await session.popItem(), user('e'));

  const image = { type: 'message', role: 'user', content: [{ type: 'input_image', image: 'x', data: new Uint8Array([1, 255]) }] };
  await session.addItems([image as never]);
  assert.deepEqual((await session.getItems(1))[0], image);
  await session.clearSession();
  assert.deepEqual([await session.getItems(), await session.popItem()], [[], undefined]);
  await session.applyHistoryTransaction({ operationId: 'x', transaction: append });
  assert.deepEqual(await session.getItems(), [user('e')], 'an operation of before does not count');
  assert.equal((await workspace.records('openai').scan({ kind: 'item' }).all()).length, 1, 'what was cleared is gone');

  const other = await another();
  const there = new NofxSession(other, 'thread-1');
  await Promise.all([...Array(20).keys()].flatMap((at) => [session, there].map((of) => of.addItems([user(`${at}`), user(`${at} too`)]))));
  const all = (await there.getItems()).map((item) => (item as { content: string }).content).slice(1);
  assert.equal(all.length, 80);
  all.forEach((content, at) => at % 2 === 1 && assert.equal(content, `${all[at - 1]} too`));
  const popped = await Promise.all([...Array(10).keys()].flatMap(() => [session.popItem(), there.popItem()]));
  assert.equal(new Set([...popped.map((item) => JSON.stringify(item)), ...(await session.getItems()).map((item) => JSON.stringify(item))]).size, 41);
  assert.equal((await session.getItems()).length, 61);
});

test('a LangChain history keeps messages of each kind as they are', async (t) => {
  const { workspace } = await store(t);
  const history = new NofxChatMessageHistory(workspace, 'thread-1');
  const calls = [{ id: '1', name: 'sort', args: { of: [3, 1] }, type: 'tool_call' as const }];
  await history.addMessages([new HumanMessage({ content: 'sort', id: 'h' }), new AIMessage({ content: '', tool_calls: calls })]);
  void history.addMessage(new ToolMessage({ content: '[1,3]', tool_call_id: '1' }));
  void history.addAIMessage('done');
  const messages = await new NofxChatMessageHistory(workspace, 'thread-1').getMessages();
  await history.getMessages();
  const all = await history.getMessages();
  assert.ok(messages.length >= 2);
  assert.deepEqual(all.map((message) => message.getType()), ['human', 'ai', 'tool', 'ai']);
  assert.deepEqual((all[1] as AIMessage).tool_calls, calls);
  assert.deepEqual([all[0]?.id, all[3]?.content], ['h', 'done']);
  await history.addMessages([]);
  assert.deepEqual(await new NofxChatMessageHistory(workspace, 'thread-2').getMessages(), []);
  await history.clear();
  assert.deepEqual(await history.getMessages(), []);
});

test('adding nothing changes nothing, and a closed store refuses it as it refuses anything', async (t) => {
  const { workspace } = await store(t);
  const [session, history] = [new NofxSession(workspace, 's'), new NofxChatMessageHistory(workspace, 'h')];
  await Promise.all([session.addItems([]), history.addMessages([])]);
  for (const name of ['openai', 'langchain']) {
    assert.deepEqual(await workspace.records(name).scan().all(), []);
  }
  await workspace.close();
  await assert.rejects(session.addItems([]), api.ClosedError);
  await assert.rejects(history.addMessages([]), api.ClosedError);
});
