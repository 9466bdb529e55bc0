import { NofxError, type Workspace } from 'nofx-node';
import * as vscode from 'vscode';

/** An open store, and what everything that works on it needs of the editor. */
export class Desk {
  readonly workspace: Workspace;
  readonly folder: vscode.Uri;
  readonly log: vscode.LogOutputChannel;

  constructor(workspace: Workspace, folder: vscode.Uri, log: vscode.LogOutputChannel) {
    this.workspace = workspace;
    this.folder = folder;
    this.log = log;
  }

  /** Registers a command that tells when it fails. */
  command<T>(name: string, run: (item?: T) => Promise<unknown>): vscode.Disposable {
    return vscode.commands.registerCommand(name, (item?: T) => run(item).catch((error: unknown) => report(error, this.log)));
  }
}

/** Tells what went wrong, and what can be done about it. */
export function report(error: unknown, log: vscode.LogOutputChannel, instead?: string): void {
  const { message, nextStep } = error instanceof NofxError ? error : { message: String(error), nextStep: undefined };
  log.error(error instanceof Error ? error : message);
  void vscode.window.showErrorMessage(`NofX: ${instead ?? (nextStep ? `${message} (${nextStep})` : message)}`);
}
