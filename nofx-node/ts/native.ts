import type * as Addon from './addon';

/** The addon for the current platform. @internal */
export const addon: typeof Addon = load();

function load(): typeof Addon {
  try {
    return require('./addon') as typeof Addon;
  } catch (cause) {
    throw new Error(absent(), { cause });
  }
}

/** Says which addon is missing, and what to do next. */
function absent(): string {
  const { name, version } = require('../package.json') as { name: string; version: string };
  const { platform, arch } = process;
  const libc = platform === 'linux' ? ` with ${libcOf()}` : '';
  return (
    `${name} ${version} has no addon that works on ${platform}-${arch}${libc} and Node ${process.versions.node}: ` +
    'reinstall it with optional dependencies, on the platform where it runs; the cause says what was tried'
  );
}

function libcOf(): string {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime === undefined ? 'musl' : `glibc ${header.glibcVersionRuntime}`;
}
