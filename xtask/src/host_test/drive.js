// Drives the sample extension in a real editor: code-server, and chromium without a screen.
//
//   node drive.js TOOLS CHROMIUM WORKSPACE OUTPUT
//
// TOOLS has code-server and playwright-core, OUTPUT/extensions the extension as it would be installed. Each step is printed with the
// time since the browser was started, and leaves a screenshot in OUTPUT.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { createRequire } = require('node:module');

const [tools, chromium, workspace, output] = process.argv.slice(2);
const { chromium: browserType } = createRequire(path.join(tools, 'package.json'))('playwright-core');

const SESSION = 'Harbour "Launch" ⚓ - 9/9/2025';
const MESSAGE = `Said in the browser at ${new Date().toISOString()}`;

/** The lines of the editor. */
const LINES = '.editor-instance .view-lines';

let started = 0;
function step(text) {
  const at = started ? `${((performance.now() - started) / 1000).toFixed(1)} s` : '';
  console.log(`${at.padStart(8)}  ${text}`);
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function until(what, seconds, attempt) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await attempt();
    if (found) return found;
    if (performance.now() > end) throw new Error(`waited ${seconds} seconds in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Starts code-server for a person with these settings and waits until it answers. */
async function serve(name, settings) {
  const data = path.join(output, name);
  fs.mkdirSync(path.join(data, 'User'), { recursive: true });
  fs.writeFileSync(path.join(data, 'User', 'settings.json'), JSON.stringify(settings));
  const port = await freePort();
  const log = fs.openSync(path.join(output, `${name}.log`), 'w');
  const entry = path.join(tools, 'node_modules', 'code-server', 'out', 'node', 'entry.js');
  const flags = ['--auth', 'none', '--disable-telemetry', '--disable-update-check'];
  const server = spawn(
    process.execPath,
    [entry, ...flags, '--bind-addr', `127.0.0.1:${port}`, '--user-data-dir', data,
      '--extensions-dir', path.join(output, 'extensions'), '--config', path.join(output, 'config.yaml')],
    { stdio: ['ignore', log, log], env: { ...process.env, HOME: output, VSCODE_PROXY_URI: '' } },
  );
  await until('code-server', 60, () => {
    assert.equal(server.exitCode, null, 'code-server has ended; see its log');
    return new Promise((resolve) => {
      const request = http.get(`http://127.0.0.1:${port}/healthz`, (answer) => resolve(answer.resume().statusCode === 200));
      request.on('error', () => resolve(false));
    });
  });
  return { server, url: `http://127.0.0.1:${port}/?folder=${encodeURIComponent(workspace)}` };
}

/** Returns the processes below another one, with their command lines. */
function below(root) {
  const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const parent = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) \S /s, '').split(' ')[0];
      return [{ pid: Number(pid), parent: Number(parent), line: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
  const found = new Set([root]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    processes.filter((one) => found.has(one.parent)).forEach((one) => found.add(one.pid));
  }
  return processes.filter((one) => found.has(one.pid) && one.pid !== root);
}

/** What is done and seen in a window. */
class Window {
  constructor(page) {
    this.page = page;
  }

  shoot(name) {
    return this.page.screenshot({ path: path.join(output, `${name}.png`) });
  }

  item(text) {
    return this.page.getByRole('treeitem').filter({ hasText: text }).first();
  }

  /** Opens the window and waits for the tree. */
  async open(url) {
    await this.page.goto(url);
    await this.page.getByRole('tab', { name: 'NofX' }).click({ timeout: 60_000 });
  }

  /** Looks for a command; it is then chosen by Enter. */
  async command(name) {
    await this.page.keyboard.press('F1');
    await this.page.keyboard.type(name);
    const found = this.page.getByRole('option').filter({ hasText: name }).first();
    return found.waitFor({ timeout: 5000 }).then(() => true, () => false);
  }

  async conversation() {
    await this.item(SESSION).click();
    await this.page.locator(LINES).first().waitFor();
  }

  /** Returns whether the end of the conversation says something. The editor draws only what is in view, and blanks as non-breaking ones. */
  async sees(text) {
    await this.page.locator(LINES).first().click();
    await this.page.keyboard.press('Control+End');
    const drawn = await this.page.locator(LINES).first().innerText();
    return drawn.replaceAll('\u00a0', ' ').includes(text);
  }
}

/** Migrates, reads, adds, kills the extension host and reads again. */
async function trusted({ server, url }, window) {
  await window.open(url);
  await window.item(SESSION).waitFor({ timeout: 90_000 });
  step('the tree shows the migrated sessions');
  for (const group of ['Active', 'Expired', 'Archived']) {
    await window.item(group).waitFor();
  }
  await window.shoot('1-tree');

  await window.conversation();
  await until('the conversation', 20, () => window.sees('assistant'));
  await window.shoot('2-conversation');
  step('a conversation is open');

  assert.ok(await window.command('NofX: Add message'));
  await window.page.keyboard.press('Enter');
  const box = window.page.locator('.quick-input-widget');
  await until('the input box', 10, async () => (await box.innerText()).includes('The message'));
  await box.locator('input').first().fill(MESSAGE);
  await window.page.keyboard.press('Enter');
  await until('the message', 20, () => window.sees(MESSAGE));
  await window.shoot('3-message');
  step('a message was added and is shown');

  const hosts = below(server.pid).filter((one) => one.line.includes('--type=extensionHost'));
  assert.equal(hosts.length, 1, `one extension host, not ${hosts.length}`);
  process.kill(hosts[0].pid, 'SIGKILL');
  await until('the end of the extension host', 10, () => !fs.existsSync(`/proc/${hosts[0].pid}`));
  await window.shoot('4-killed');
  step(`the extension host, process ${hosts[0].pid}, was killed`);

  await window.page.reload();
  await window.item(SESSION).waitFor({ timeout: 60_000 });
  await window.conversation();
  await until('the message after the kill', 30, () => window.sees(MESSAGE));
  await window.shoot('5-reloaded');
  step('after reloading, the message is there');
}

/** Reads without trusting the workspace. */
async function untrusted({ url }, window) {
  await window.page.goto(url);
  await window.page.getByRole('button', { name: "No, I don't trust the authors" }).click({ timeout: 60_000 });
  await window.page.getByRole('tab', { name: 'NofX' }).click();
  await window.item(SESSION).waitFor({ timeout: 60_000 });
  await window.conversation();
  await until('the message in a workspace that is not trusted', 20, () => window.sees(MESSAGE));
  assert.equal(await window.command('NofX: Add message'), false, 'nothing can be added without trust');
  await window.shoot('6-untrusted');
  step('without trust everything can be read and nothing be written');
}

const SETTINGS = {
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'git.openRepositoryInParentFolders': 'never',
  'files.watcherExclude': { '**/.nofx/store/**': true },
};

/** Starts a server and a browser, and ends both whatever happens. */
async function tried(name, settings, act) {
  const served = await serve(name, { ...SETTINGS, ...settings });
  try {
    started = performance.now();
    const browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] });
    try {
      const window = new Window(await browser.newPage({ viewport: { width: 1280, height: 800 } }));
      await act(served, window).catch(async (error) => {
        await window.shoot(`failed-${name}`).catch(() => undefined);
        throw error;
      });
    } finally {
      await browser.close();
    }
  } finally {
    const processes = below(served.server.pid);
    served.server.kill();
    await Promise.race([once(served.server, 'exit'), new Promise((resolve) => setTimeout(resolve, 5000))]);
    for (const { pid } of processes) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with its parent.
      }
    }
  }
}

async function main() {
  await tried('trusted', { 'security.workspace.trust.enabled': false }, trusted);
  await tried('untrusted', { 'security.workspace.trust.startupPrompt': 'always' }, untrusted);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
