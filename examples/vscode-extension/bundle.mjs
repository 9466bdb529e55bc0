// Builds `out/` from the sources: one file with everything that it imports, and the addon beside it.

import { rmSync } from 'node:fs';
import { buildSync } from 'esbuild';

rmSync('out', { recursive: true, force: true });
buildSync({
  entryPoints: ['src/extension.ts'],
  outfile: 'out/extension.js',
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node18',
  external: ['vscode'],
  loader: { '.node': 'copy' },
  // Of the addons for all platforms, only this platform's is here.
  logLevel: 'error',
});
