import * as vscode from 'vscode';
import type { Unsaved } from './outbox';

/** Says in the status bar, as long as it is true, that messages are not saved; and once in a notification, why. */
export class UnsavedWarning implements vscode.Disposable {
  readonly #bar = vscode.window.createStatusBarItem(vscode.StatusBarAlignment.Left, 1000);
  #shown = false;

  constructor() {
    this.#bar.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
    this.#bar.command = 'nofx.saveUnsaved';
  }

  show(unsaved: readonly Unsaved[], reason: Error | undefined): void {
    void vscode.commands.executeCommand('setContext', 'nofx.unsaved', unsaved.length > 0);
    if (unsaved.length === 0 || reason === undefined) {
      this.#bar.hide();
      this.#shown = false;
      return;
    }
    this.#bar.text = `$(warning) NofX: ${unsaved.length} not saved`;
    this.#bar.tooltip = `${reason.message}\nThey are kept in memory and tried again. Click to try now.`;
    this.#bar.show();
    if (!this.#shown) {
      this.#shown = true;
      const next = (reason as { nextStep?: string }).nextStep ?? 'try again later';
      void vscode.window.showWarningMessage(`NofX could not save: ${reason.message}. Messages are kept in memory; ${next}.`);
    }
  }

  dispose(): void {
    this.#bar.dispose();
  }
}
