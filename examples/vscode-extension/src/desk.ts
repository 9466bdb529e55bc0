import { NofxError, type Workspace } from 'nofx-node';
import * as vscode from 'vscode';

/** An open store, and the parts of the editor that everything working on it needs. */
export class Desk {
  readonly workspace: Workspace;
  readonly folder: vscode.Uri;
  readonly log: vscode.LogOutputChannel;

  constructor(workspace: Workspace, folder: vscode.Uri, log: vscode.LogOutputChannel) {
    this.workspace = workspace;
    this.folder = folder;
    this.log = log;
  }

  /** Registers a command that reports its errors. */
  command<T>(name: string, run: (item?: T) => Promise<unknown>): vscode.Disposable {
    return vscode.commands.registerCommand(name, (item?: T) => run(item).catch((error: unknown) => report(error, this.log)));
  }
}

/** Shows what went wrong, and what to do next. */
export function report(error: unknown, log: vscode.LogOutputChannel, instead?: string): void {
  const { message, nextStep } = error instanceof NofxError ? error : { message: String(error), nextStep: undefined };
  log.error(error instanceof Error ? error : message);
  void vscode.window.showErrorMessage(`NofX: ${instead ?? (nextStep ? `${message} (${nextStep})` : message)}`);
}
