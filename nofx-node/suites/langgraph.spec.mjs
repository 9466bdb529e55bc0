// LangGraph's own validation of checkpointers, on each backend. `cargo xtask adapters` runs it and counts.

import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deltaChannelHistoryTests, specTest } from '@langchain/langgraph-checkpoint-validation';

const require = createRequire(import.meta.url);
const { open } = require(process.env.NOFX_NODE);
const { NofxSaver } = require(join(process.env.NOFX_NODE, 'dist/adapters/langgraph.js'));

const places = new Map();

for (const scheme of ['memory', 'redb', 'fs']) {
  const initializer = {
    // Savers named like LangGraph's own skip some tests.
    checkpointerName: `nofx on ${scheme}`,
    async createCheckpointer() {
      const folder = mkdtempSync(join(tmpdir(), 'nofx-suite-'));
      const location = { memory: 'memory:', redb: `redb:${join(folder, 'nofx.redb')}`, fs: `fs:${join(folder, 'store')}` }[scheme];
      const workspace = await open(location);
      const saver = new NofxSaver(workspace);
      places.set(saver, { workspace, folder });
      return saver;
    },
    async destroyCheckpointer(saver) {
      const { workspace, folder } = places.get(saver);
      await workspace.close();
      rmSync(folder, { recursive: true });
    },
  };
  specTest(initializer);
  deltaChannelHistoryTests(initializer);
}
