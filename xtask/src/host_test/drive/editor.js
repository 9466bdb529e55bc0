// The editor as a server: starts, inspects and ends it.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Tries until something is found. The limit only ends a failed test. */
async function until(what, attempt, seconds = 120) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await attempt();
    if (found) return found;
    if (performance.now() > end) throw new Error(`waited ${seconds} seconds in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Returns the processes below another one, with their command lines. */
function below(root) {
  const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const parent = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) \S /s, '').split(' ')[0];
      return [{ pid: Number(pid), parent: Number(parent), line: fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') }];
    } catch {
      return []; // It has ended since.
    }
  });
  const found = new Set([root]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    processes.filter((one) => found.has(one.parent)).forEach((one) => found.add(one.pid));
  }
  return processes.filter((one) => found.has(one.pid) && one.pid !== root);
}

/** Whether a process exists and is not a zombie. */
function isAlive(pid) {
  try {
    return !fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').startsWith('Z');
  } catch {
    return false;
  }
}

/** code-server, for a user with some settings. */
class Editor {
  #server;
  #port;
  #data;

  /** Starts it and waits until it answers. */
  static async start({ tools, output, name, settings }) {
    const editor = new Editor();
    editor.#data = path.join(output, name);
    fs.mkdirSync(path.join(editor.#data, 'User'), { recursive: true });
    fs.writeFileSync(path.join(editor.#data, 'User', 'settings.json'), JSON.stringify(settings));
    editor.#port = await freePort();
    const log = fs.openSync(path.join(output, `${name}.log`), 'w');
    const entry = path.join(tools, 'node_modules', 'code-server', 'out', 'node', 'entry.js');
    editor.#server = spawn(
      process.execPath,
      [entry, '--auth', 'none', '--disable-telemetry', '--disable-update-check',
        '--bind-addr', `127.0.0.1:${editor.#port}`, '--user-data-dir', editor.#data,
        '--extensions-dir', path.join(output, 'extensions'), '--config', path.join(output, 'config.yaml')],
      { stdio: ['ignore', log, log], env: { ...process.env, HOME: output, VSCODE_PROXY_URI: '' } },
    );
    try {
      await until('code-server', () => editor.#answers());
    } catch (error) {
      await editor.end();
      throw error;
    }
    return editor;
  }

  async #answers() {
    assert.equal(this.#server.exitCode, null, 'code-server has ended; see its log');
    const answer = await fetch(`http://127.0.0.1:${this.#port}/healthz`).catch(() => undefined);
    return answer?.ok;
  }

  /** Returns the address of a window on a folder, or without one. */
  url(folder) {
    const shown = folder === undefined ? 'ew=true' : `folder=${encodeURIComponent(folder)}`;
    return `http://127.0.0.1:${this.#port}/?${shown}`;
  }

  /** Returns the ids of the processes in which extensions run. */
  hosts() {
    return below(this.#server.pid).filter((one) => one.line.includes('--type=extensionHost')).map((one) => one.pid);
  }

  /** Returns how long an extension host took to end, in milliseconds, if it ended cleanly. */
  endingOf(pid) {
    const logs = path.join(this.#data, 'logs');
    for (const file of fs.readdirSync(logs, { recursive: true }).filter((name) => name.endsWith('remoteexthost.log'))) {
      const lines = fs.readFileSync(path.join(logs, file), 'utf8').split('\n');
      const at = (text) => Date.parse(lines.find((line) => line.includes(text))?.slice(0, 23) ?? '');
      const took = at(`Extension host with pid ${pid} exiting with code 0`) - at('Extension host terminating');
      if (!Number.isNaN(took)) return took;
    }
    return undefined;
  }

  async end() {
    const processes = below(this.#server.pid);
    this.#server.kill();
    await Promise.race([once(this.#server, 'exit'), new Promise((resolve) => setTimeout(resolve, 5000))]);
    for (const { pid } of processes) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with its parent.
      }
    }
  }
}

module.exports = { Editor, isAlive, until };
