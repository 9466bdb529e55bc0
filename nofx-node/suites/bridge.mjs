// Lets a program in another language use an adapter: each line of JSON requests a call, and a line answers.
//
// `{"id", "make": "claude" | "openai", "location", "session"?}` creates an adapter, whose number is the answer;
// `{"id", "of": number, "call": method, "with": [arguments]}` calls it, and "close" closes its store. An answer is `{"id", "ok"}` or `{"id", "error"}`.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const { open } = require(process.env.NOFX_NODE);
const { NofxSessionStore } = require(join(process.env.NOFX_NODE, 'dist/adapters/claude.js'));
const { NofxSession } = require(join(process.env.NOFX_NODE, 'dist/adapters/openai.js'));

const adapters = [];

async function make({ make, location, session }) {
  const workspace = await open(location);
  const kept = (adapter) => adapters.push({ adapter, workspace }) - 1;
  if (make === 'claude') {
    const { foldSessionSummary } = await import('@anthropic-ai/claude-agent-sdk');
    return kept(new NofxSessionStore(workspace, { foldSessionSummary }));
  }
  return kept(new NofxSession(workspace, session));
}

function call({ of, call, with: given }) {
  const { adapter, workspace } = adapters[of];
  return call === 'close' ? workspace.close() : adapter[call](...given);
}

async function answer(line) {
  const { id, ...asked } = JSON.parse(line);
  try {
    const ok = asked.make ? await make(asked) : await call(asked);
    return { id, ok: ok ?? null };
  } catch (error) {
    return { id, error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  // Calls run concurrently, as in a program that awaits none.
  void answer(line).then((told) => process.stdout.write(`${JSON.stringify(told)}\n`));
}
