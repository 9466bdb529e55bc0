// Drives the sample extension in a real editor: code-server, and headless Chromium.
//
//   node main.js TOOLS CHROMIUM LEGACY PACKAGE OUTPUT
//
// TOOLS has code-server and playwright-core, LEGACY is a workspace with a legacy folder, PACKAGE is nofx-node, and OUTPUT/extensions has the
// extension as code-server has installed it. Each step is printed with the time since its window was opened, and leaves a screenshot in OUTPUT. What this
// machine cannot do is printed too and listed in OUTPUT/skipped.txt; failures are in OUTPUT/failed.txt. Exits with 77 if editor or browser do not even start.
// STORY selects the stories to run, by a part of their names; all by default.

const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');
const { Editor } = require('./editor.js');
const stories = require('./stories.js');
const { Window } = require('./window.js');

const [tools, executablePath, legacy, package_, output] = process.argv.slice(2);
const { chromium } = createRequire(path.join(tools, 'package.json'))('playwright-core');
const nofx = require(package_);

const SETTINGS = {
  'window.autoDetectColorScheme': true,
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'git.openRepositoryInParentFolders': 'never',
};

const BROWSER = { executablePath, args: ['--no-sandbox', '--disable-gpu'] };

const PAGE = { viewport: { width: 1280, height: 1400 }, reducedMotion: 'reduce' };

/** Creates a workspace with a legacy folder. */
function fresh(name) {
  const folder = path.join(output, 'workspaces', name);
  fs.cpSync(legacy, folder, { recursive: true });
  return folder;
}

/** Creates an empty workspace. */
function empty(name) {
  const folder = path.join(output, 'workspaces', name);
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

/** Uses the store of a workspace beside the windows. */
async function store(folder, use) {
  const workspace = await nofx.open(`redb:${path.join(folder, '.nofx/store/nofx.redb')}`);
  try {
    return await use(workspace);
  } finally {
    await workspace.close();
  }
}

function skip(what) {
  console.log(` skipped  ${what}`);
  fs.appendFileSync(path.join(output, 'skipped.txt'), `${what}\n`);
}

/** Runs stories in the windows of one editor. */
async function tell(name, settings, all, folder) {
  const editor = await Editor.start({ tools, output, name, settings: { ...SETTINGS, ...settings } });
  try {
    for (const story of all.filter(({ name }) => name.includes(process.env.STORY ?? ''))) {
      console.log(`\n${story.name}`);
      await inBrowser(story, editor, folder);
    }
  } finally {
    await editor.end();
  }
}

/** Runs one story in its own browser, isolated from the others. */
async function inBrowser(story, editor, folder) {
  const started = performance.now();
  const browser = await chromium.launch(BROWSER);
  const windows = [];
  const window = async () => {
    const opened = new Window(await browser.newPage(PAGE), output);
    windows.push(opened);
    return opened;
  };
  const step = (text) => console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  try {
    await story({ editor, folder, fresh, empty, store, step, window, skip });
  } catch (error) {
    error.message = `${story.name}: ${error.message}`;
    for (const [at, opened] of windows.entries()) {
      await opened.shoot(`failed-${story.name}-${at}`).catch(() => undefined);
    }
    throw error;
  } finally {
    await browser.close();
  }
}

/** Starts an editor without a window and a browser without a page: neither has seen the extension yet. */
async function starts() {
  try {
    await (await chromium.launch(BROWSER)).close();
    await (await Editor.start({ tools, output, name: 'empty', settings: SETTINGS })).end();
    return true;
  } catch (error) {
    console.error(error);
    return false;
  }
}

async function main() {
  if (!(await starts())) {
    process.exitCode = 77;
    return;
  }
  const folder = fresh('workspace');
  const trusted = { 'security.workspace.trust.enabled': false };
  await tell('trusted', trusted, stories.trusted, folder);
  await tell('asked', { 'security.workspace.trust.startupPrompt': 'always' }, stories.asked, folder);
}

main().catch((error) => {
  console.error(error);
  fs.writeFileSync(path.join(output, 'failed.txt'), String(error));
  process.exitCode = 1;
});
