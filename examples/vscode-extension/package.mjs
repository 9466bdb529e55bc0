// Packages `out/` as an extension for this platform, `nofx-sample.vsix` or where the first argument says.

import { createVSIX } from '@vscode/vsce';

await createVSIX({
  packagePath: process.argv[2] ?? 'nofx-sample.vsix',
  target: `${process.platform}-${process.arch}`,
  // All of them are in the bundle.
  dependencies: false,
  skipLicense: true,
});
