// Lets a program in another language use an adapter: each line of JSON asks for a call, and a line answers.
//
// `{"id", "make": "claude" | "openai", "location", "session"?}` makes an adapter, whose number is the answer;
// `{"id", "of": number, "call": method, "with": [arguments]}` calls it. An answer is `{"id", "ok"}` or `{"id", "error"}`.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const { open } = require(process.env.NOFX_NODE);
const { NofxSessionStore } = require(join(process.env.NOFX_NODE, 'dist/adapters/claude.js'));
const { NofxSession } = require(join(process.env.NOFX_NODE, 'dist/adapters/openai.js'));

const workspaces = new Map();
const adapters = [];

async function make({ make, location, session }) {
  // A store in memory is another one each time.
  const known = location === 'memory:' ? undefined : workspaces.get(location);
  const opening = known ?? open(location);
  workspaces.set(location, opening);
  const workspace = await opening;
  if (make === 'claude') {
    const { foldSessionSummary } = await import('@anthropic-ai/claude-agent-sdk');
    return adapters.push(new NofxSessionStore(workspace, { foldSessionSummary })) - 1;
  }
  return adapters.push(new NofxSession(workspace, session)) - 1;
}

async function answer(line) {
  const { id, ...asked } = JSON.parse(line);
  try {
    const ok = asked.make ? await make(asked) : await adapters[asked.of][asked.call](...asked.with);
    return { id, ok: ok ?? null };
  } catch (error) {
    return { id, error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  // Calls run concurrently, as in a program that awaits none.
  void answer(line).then((told) => process.stdout.write(`${JSON.stringify(told)}\n`));
}
