// Actions and observations in a window of the editor.

const path = require('node:path');
const { until } = require('./editor.js');

/** The lines of the editor. */
const LINES = '.editor-instance .view-lines';

/** Milliseconds after which an action is repeated: while the editor redraws, a click or a key may hit nothing. */
const PATIENCE = 10_000;

/** Repeats an action until its effect is seen. */
function insist(what, act, effect) {
  const seen = () => effect().waitFor({ timeout: PATIENCE }).then(() => true, () => false);
  return until(what, async () => {
    // The target of the action may be gone for a moment too.
    await act().catch(() => undefined);
    return seen();
  });
}

/** Clicks something that appears within a while, and returns whether it did. */
function clicks(locator) {
  return locator.click({ timeout: PATIENCE }).then(() => true, () => false);
}

/** Returns whether an effect is seen within a while. */
function becomes(effect) {
  return until('an effect', effect, PATIENCE / 1000).then(() => true, () => false);
}

class Window {
  #output;

  constructor(page, output) {
    this.page = page;
    // Long, because a busy machine is slow and not broken.
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
      // The name is followed by the count.
      if (item.level === '1') group = /[a-z]+/i.exec(item.text)?.[0];
      else if (item.text.replaceAll('\u00a0', ' ').includes(text)) return group;
    }
    return undefined;
  }

  /** Opens the context menu of a session, which then offers a command. */
  async menu(session, command) {
    await insist(`“${command}” in the menu of ${session}`, () => this.#menuOf(session), () => this.#entry(command));
  }

  /** Chooses from the context menu of a session until the effect is seen. The menu closes when something else opens, and is then opened again. */
  async choose(session, command, effect) {
    await until(`what ${command} does to ${session}`, async () => {
      if (await effect()) return true;
      await this.#menuOf(session).catch(() => undefined);
      return (await this.#picked(command)) && becomes(effect);
    });
  }

  /** Chooses from the open menu until the effect is seen. */
  async pick(command, effect) {
    await until(`what ${command} does`, async () => (await effect()) || ((await this.#picked(command)) && becomes(effect)));
  }

  async #menuOf(session) {
    await this.page.keyboard.press('Escape');
    await this.item(session).click({ button: 'right', timeout: PATIENCE });
  }

  #entry(command) {
    return this.page.getByRole('menuitem', { name: command });
  }

  /**
   * Returns whether an entry was clicked and its menu has closed. A menu that has just opened takes a click for the end of the one that opened
   * it, and stays: then the entry is clicked again.
   */
  async #picked(command) {
    const entry = this.#entry(command);
    const isClosed = (timeout) => entry.waitFor({ state: 'hidden', timeout }).then(() => true, () => false);
    if (!(await clicks(entry))) return false;
    return (await isClosed(500)) || ((await clicks(entry)) && isClosed(2000));
  }

  /** Runs a command. */
  async command(name) {
    const option = () => this.page.getByRole('option').filter({ hasText: name }).first();
    await until(`the command ${name}`, async () => {
      await this.#lookFor(name).catch(() => undefined);
      return clicks(option());
    });
  }

  /** Returns whether a command is offered. */
  async offers(name) {
    const none = () => this.#box().getByText(/similar commands|No matching commands/);
    const found = () => this.page.getByRole('option').filter({ hasText: name });
    await insist(`an answer to ${name}`, () => this.#lookFor(name), () => none().or(found()).first());
    const offered = (await found().count()) > 0;
    await this.page.keyboard.press('Escape');
    return offered;
  }

  async #lookFor(name) {
    await this.page.keyboard.press('Escape');
    await this.page.keyboard.press('F1');
    await this.#box().locator('input').first().fill(`>${name}`, { timeout: PATIENCE });
  }

  /** The widget that asks for a command or a text. */
  #box() {
    return this.page.locator('.quick-input-widget');
  }

  /** Opens the conversation of a session. */
  async conversation(session) {
    // A title is a file's name.
    const title = session.replaceAll('/', ' ');
    const tab = () => this.page.getByRole('tab', { name: title, selected: true }).first();
    await insist(`the conversation of ${session}`, () => this.item(session).click({ timeout: PATIENCE }), tab);
    await this.page.locator(LINES).first().waitFor();
  }

  /** Adds a message to the open conversation. */
  async add(message) {
    await this.asked('NofX: Add Message', 'The message');
    await this.answer('The message', message);
  }

  /** Runs a command until it asks for a text. */
  async asked(command, prompt) {
    await insist('the input box', () => this.command(command), () => this.#box().filter({ hasText: prompt }));
  }

  /** Answers a question with a text. */
  async answer(prompt, text) {
    const asked = this.#box().filter({ hasText: prompt });
    await asked.waitFor();
    await this.#box().locator('input').first().fill(text);
    await this.page.keyboard.press('Enter');
    await asked.waitFor({ state: 'hidden' });
  }

  /** Chooses an offered entry that contains this text. */
  async pickOffered(text) {
    const option = this.page.getByRole('option').filter({ hasText: text }).first();
    await option.click();
    await option.waitFor({ state: 'hidden' });
  }

  /** Types into the input, and returns the offered entry that contains this text. */
  offered(typed, text) {
    const option = () => this.page.getByRole('option').filter({ hasText: text }).first();
    const type = async () => {
      await this.#box().locator('input').first().fill('', { timeout: PATIENCE });
      await this.#box().locator('input').first().fill(typed, { timeout: PATIENCE });
    };
    return insist(`“${text}” among what is offered`, type, option).then(option);
  }

  asksWhereToSave() {
    return this.#confirm().isVisible();
  }

  #confirm() {
    return this.#box().getByRole('button', { name: 'OK' });
  }

  /** Accepts the path that is offered for saving. */
  async save() {
    const confirm = this.#confirm();
    await until('the end of the question where to save', async () => {
      await confirm.click({ timeout: PATIENCE }).catch(() => undefined);
      return confirm.waitFor({ state: 'hidden', timeout: PATIENCE }).then(() => true, () => false);
    });
  }

  /** A button of a view or of a dialog. */
  button(name) {
    return this.page.getByRole('button', { name, exact: true }).first();
  }

  /** The open dialog. */
  dialog() {
    return this.page.locator('.monaco-dialog-box');
  }

  /** Answers the open dialog. */
  async decide(button) {
    await this.dialog().getByRole('button', { name: button, exact: true }).click();
    await this.dialog().waitFor({ state: 'hidden' });
  }

  /** Runs a command until it opens a dialog that says something. */
  async warned(command, text) {
    await insist(`the dialog of ${command}`, () => this.command(command), () => this.dialog().filter({ hasText: text }));
  }

  /** Answers a notification. Notifications disappear after a while, and are then looked for in the notification centre. */
  async reply(text, button) {
    const told = () => this.page.locator('.notification-list-item').filter({ hasText: text }).first();
    await until(`“${button}” of “${text}” in the corner`, async () => {
      if (!(await told().isVisible())) await this.command('Notifications: Show Notifications');
      return clicks(told().getByRole('button', { name: button, exact: true }));
    });
  }

  /** Clicks an action of an item, which appears while the mouse is on it. */
  async act(text, action) {
    await until(`“${action}” of ${text}`, async () => {
      await this.item(text).hover({ timeout: PATIENCE }).catch(() => undefined);
      return clicks(this.item(text).getByRole('button', { name: action }));
    });
  }

  /** Takes a screenshot in light and in dark mode. */
  async shootBoth(name) {
    for (const [colorScheme, theme] of [['dark', 'vs-dark'], ['light', 'vs']]) {
      await this.page.emulateMedia({ colorScheme });
      await this.page.locator(`.monaco-workbench.${theme}`).waitFor();
      await this.shoot(`${name}-${colorScheme}`);
    }
  }

  /** Waits until the end of the conversation says something. */
  async sees(text) {
    await until(`“${text}” in the conversation`, async () => {
      await this.page.locator(LINES).first().click();
      await this.page.keyboard.press('Control+End');
      return (await this.#inView()).includes(text);
    });
  }

  /** Waits until the part of the conversation that is in view says something. */
  async shows(text) {
    await until(`“${text}” in view`, async () => (await this.#inView()).includes(text));
  }

  async #inView() {
    // The editor draws only what is in view, with blanks as non-breaking ones.
    return (await this.page.locator(LINES).first().innerText()).replaceAll('\u00a0', ' ');
  }

  /** Returns the warning of the status bar. */
  warning() {
    return this.page.locator('.statusbar-item').filter({ hasText: 'not saved' });
  }
}

module.exports = { Window };
