// Packages `out/` as an extension for this platform, as `nofx-sample.vsix` or the path in the first argument.

import { createVSIX } from '@vscode/vsce';

await createVSIX({
  packagePath: process.argv[2] ?? 'nofx-sample.vsix',
  target: `${process.platform}-${process.arch}`,
  // All dependencies are in the bundle.
  dependencies: false,
  skipLicense: true,
});
