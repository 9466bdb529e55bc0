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

/** Starts code-server and waits until it answers. */
async function serve(settings) {
  const data = path.join(output, 'data');
  fs.mkdirSync(path.join(data, 'User'), { recursive: true });
  fs.writeFileSync(path.join(data, 'User', 'settings.json'), JSON.stringify(settings));
  const port = await freePort();
  const log = fs.openSync(path.join(output, 'code-server.log'), 'w');
  const entry = path.join(tools, 'node_modules', 'code-server', 'out', 'node', 'entry.js');
  const flags = ['--auth', 'none', '--disable-telemetry', '--disable-update-check'];
  const server = spawn(
    process.execPath,
    [entry, ...flags, '--bind-addr', `127.0.0.1:${port}`, '--user-data-dir', data,
      '--extensions-dir', path.join(output, 'extensions'), '--config', path.join(output, 'config.yaml')],
    { stdio: ['ignore', log, log], env: { ...process.env, HOME: output, VSCODE_PROXY_URI: '' } },
  );
  await until('code-server', 60, () => {
    assert.equal(server.exitCode, null, 'code-server has ended; see code-server.log');
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

async function drive({ server, url }, browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const shoot = (name) => page.screenshot({ path: path.join(output, `${name}.png`) });
  const item = (text) => page.getByRole('treeitem').filter({ hasText: text }).first();
  const command = async (name) => {
    await page.keyboard.press('F1');
    await page.keyboard.type(name);
    await page.getByRole('option').filter({ hasText: name }).first().waitFor();
    await page.keyboard.press('Enter');
  };
  const conversation = async () => {
    await item(SESSION).click();
    await page.locator('.editor-instance .view-lines').first().waitFor();
  };
  // The editor draws only what is in view, so the end is gone to first; blanks are drawn as non-breaking ones.
  const sees = async (text) => {
    await page.locator('.editor-instance .view-lines').first().click();
    await page.keyboard.press('Control+End');
    const drawn = await page.locator('.editor-instance .view-lines').first().innerText();
    return drawn.replaceAll('\u00a0', ' ').includes(text);
  };

  try {
    await page.goto(url);
    await page.getByRole('tab', { name: 'NofX' }).click({ timeout: 60_000 });
    await item(SESSION).waitFor({ timeout: 90_000 });
    step('the tree shows the migrated sessions');
    for (const group of ['Active', 'Expired', 'Archived']) {
      await item(group).waitFor();
    }
    assert.ok(fs.existsSync(path.join(workspace, '.nofx', 'store', 'nofx.redb')));
    await shoot('1-tree');

    await conversation();
    await until('the conversation', 20, () => sees('assistant'));
    await shoot('2-conversation');
    step('a conversation is open');

    await command('NofX: Add message');
    const input = page.locator('.quick-input-widget input').first();
    await until('the input box', 10, async () => (await page.locator('.quick-input-widget').innerText()).includes('The message'));
    await input.fill(MESSAGE);
    await page.keyboard.press('Enter');
    await until('the message', 20, () => sees(MESSAGE));
    await shoot('3-message');
    step('a message was added and is shown');

    const hosts = below(server.pid).filter((one) => one.line.includes('--type=extensionHost'));
    assert.equal(hosts.length, 1, `one extension host, not ${hosts.length}`);
    process.kill(hosts[0].pid, 'SIGKILL');
    await until('the end of the extension host', 10, () => !fs.existsSync(`/proc/${hosts[0].pid}`));
    await shoot('4-killed');
    step(`the extension host, process ${hosts[0].pid}, was killed`);

    await page.reload();
    await item(SESSION).waitFor({ timeout: 60_000 });
    await conversation();
    await until('the message after the kill', 30, () => sees(MESSAGE));
    await shoot('5-reloaded');
    step('after reloading, the message is there');
  } catch (error) {
    await shoot('failed').catch(() => undefined);
    throw error;
  }
}

async function main() {
  const served = await serve({
    'security.workspace.trust.enabled': false,
    'telemetry.telemetryLevel': 'off',
    'workbench.startupEditor': 'none',
    'workbench.tips.enabled': false,
    'files.watcherExclude': { '**/.nofx/store/**': true },
  });
  step('code-server answers');
  try {
    started = performance.now();
    const browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] });
    try {
      await drive(served, browser);
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

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
