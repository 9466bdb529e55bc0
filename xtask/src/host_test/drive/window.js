// What is done and seen in a window of the editor.

const path = require('node:path');
const { until } = require('./editor.js');

/** The lines of the editor. */
const LINES = '.editor-instance .view-lines';

class Window {
  #output;

  constructor(page, output) {
    this.page = page;
    // Long, because a busy machine is slow and not wrong.
    page.setDefaultTimeout(120_000);
    this.#output = output;
  }

  shoot(name) {
    return this.page.screenshot({ path: path.join(this.#output, `${name}.png`) });
  }

  /** Opens a folder and shows the view. */
  async open(url) {
    await this.page.goto(url);
    await this.view();
  }

  async view() {
    await this.page.getByRole('tab', { name: 'NofX' }).click();
  }

  item(text) {
    return this.page.getByRole('treeitem').filter({ hasText: text }).first();
  }

  /** Returns the name of the group in which the tree shows a session. */
  async groupOf(text) {
    const items = await this.page.getByRole('treeitem').evaluateAll((all) =>
      all.map((item) => ({ level: item.ariaLevel, text: item.innerText, top: item.getBoundingClientRect().top })),
    );
    let group;
    for (const item of items.sort((a, b) => a.top - b.top)) {
      // Behind the name stands how many there are.
      if (item.level === '1') group = /[a-z]+/i.exec(item.text)?.[0];
      else if (item.text.replaceAll('\u00a0', ' ').includes(text)) return group;
    }
    return undefined;
  }

  /** Chooses from the context menu of a session. */
  async choose(session, command) {
    await this.item(session).click({ button: 'right' });
    await this.pick(command);
  }

  /** Chooses from the menu that is open. */
  async pick(command) {
    const entry = this.page.getByRole('menuitem', { name: command });
    await entry.waitFor();
    // For a moment after it opened, a menu takes a click for the end of the one that opened it.
    await until(`the choice of ${command}`, async () => {
      await entry.click({ timeout: 1000 }).catch(() => undefined);
      return !(await entry.isVisible());
    });
  }

  /** Runs a command. */
  async command(name) {
    const found = await this.#lookFor(name);
    await found.waitFor();
    await this.page.keyboard.press('Enter');
  }

  /** Returns whether a command is offered. */
  async offers(name) {
    const found = await this.#lookFor(name);
    const offered = await found.waitFor({ timeout: 5000 }).then(() => true, () => false);
    await this.page.keyboard.press('Escape');
    return offered;
  }

  async #lookFor(name) {
    await this.page.keyboard.press('F1');
    await this.page.keyboard.type(name);
    return this.page.getByRole('option').filter({ hasText: name }).first();
  }

  /** Opens the conversation of a session. */
  async conversation(session) {
    await this.item(session).click();
    await this.page.locator(LINES).first().waitFor();
  }

  /** Adds a message to the conversation that is open. */
  async add(message) {
    await this.command('NofX: Add message');
    const box = this.page.locator('.quick-input-widget');
    await until('the input box', async () => (await box.innerText()).includes('The message'));
    await box.locator('input').first().fill(message);
    await this.page.keyboard.press('Enter');
    await box.waitFor({ state: 'hidden' });
  }

  /** Waits until the end of the conversation says something. */
  async sees(text) {
    await until(`“${text}” in the conversation`, async () => {
      await this.page.locator(LINES).first().click();
      await this.page.keyboard.press('Control+End');
      // The editor draws only what is in view, and blanks as non-breaking ones.
      return (await this.page.locator(LINES).first().innerText()).replaceAll('\u00a0', ' ').includes(text);
    });
  }

  /** Returns the warning of the status bar. */
  warning() {
    return this.page.locator('.statusbar-item').filter({ hasText: 'not saved' });
  }
}

module.exports = { Window };
