import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADA, messages, store } from './place';

test('messages are found by what they say', async (t) => {
  const { workspace } = await store(t);
  const { id, name } = await workspace.createSession({ agent: ADA, name: 'half \ud83d' });
  await workspace.addMessages(id, messages(5));
  await workspace.addMessage(id, { type: 'assistant', content: 'A Needle in the hay' });
  const { hits, unreadable, more } = await workspace.search({ words: ['needle', 'HAY'] });
  assert.deepEqual({ unreadable, more }, { unreadable: [], more: false });
  assert.equal(hits.length, 1);
  const { at, ...hit } = hits[0]!;
  assert.deepEqual(hit, { session: id, name, position: 5, type: 'assistant', snippet: 'A Needle in the hay' });
  assert.ok(Date.parse(at) > 0);

  const some = await workspace.search({ words: ['hello'], limit: 2 });
  assert.deepEqual([some.hits.length, some.more], [2, true]);
  const all = await workspace.search({ words: ['hello'], limit: 5, role: 'user' });
  assert.deepEqual([all.hits.length, all.more], [5, false]);
  assert.equal((await workspace.search({ words: [], agent: 'unknown' })).hits.length, 0);
});

test('a session is exported as Markdown', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, name: 'Monday' });
  await workspace.startTask(id, 'sort the list');
  await workspace.addMessage(id, { type: 'user', content: 'see\n```\ncode\n```' });
  const text = await workspace.exportMarkdown(id);
  assert.match(text, /^# Monday\n/);
  assert.match(text, /in progress: sort the list/);
  assert.ok(text.includes('````text\nsee\n```\ncode\n```\n````\n'), text);
  await assert.rejects(workspace.exportMarkdown('unknown'), /session `unknown`/);
});

test('a session is exported as one HTML page, in which nothing that was said can act', async (t) => {
  const { workspace } = await store(t);
  const { id } = await workspace.createSession({ agent: ADA, name: 'Monday <1>' });
  const hostile = 'hi <script>alert(1)</script> [a](javascript:alert(2)) \u001b[31m half \ud83d';
  await workspace.addMessage(id, { type: 'user', content: hostile });
  await workspace.addMessage(id, { type: 'assistant', content: '**See** <https://example.org>\n```js\nlet x = "<1>";\n```' });
  await workspace.addMessage(id, { type: 'tool', content: 'one\n</pre>' });
  const text = await workspace.exportHtml(id);
  for (const part of [
    '<title>Monday &lt;1&gt;</title>',
    '&lt;script&gt;alert(1)&lt;/script&gt; a (javascript:alert(2)) \\u{1b}[31m half \ufffd',
    '<strong>See</strong> <a href="https://example.org">',
    '<pre><code class="language-js">let x = "&lt;1&gt;";\n</code></pre>',
    '<details>\n<summary><small>2 lines</small>',
    'one\n&lt;/pre&gt;</pre>\n</details>',
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  assert.doesNotMatch(text, /<script|href="javascript|\u001b/);
  await assert.rejects(workspace.exportHtml('unknown'), /session `unknown`/);
});

test('a preview of a cleanup tells what it would do and does nothing', async (t) => {
  const { workspace } = await store(t);
  const expired = await workspace.createSession({ agent: ADA, lifetimeMs: 0 });
  const current = await workspace.createSession({ agent: ADA });
  await workspace.addMessages(expired.id, messages(3));
  assert.deepEqual(await workspace.cleanupPreview(), { archive: [], delete: [], purge: [], orchestrationMessages: 0 });

  const preview = await workspace.cleanupPreview({ maxSessions: 0, maxBytes: 1e12 });
  assert.deepEqual(preview.delete.map((one) => one.session.id), [expired.id]);
  assert.ok((preview.delete[0]?.bytes ?? 0) > 100);
  assert.equal((await workspace.session(expired.id))?.state, 'expired');
  assert.equal((await workspace.session(current.id))?.state, 'active');
});
