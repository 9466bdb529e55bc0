import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';

/** Where the store of a workspace is, and whether it may be written to. */
export interface Place {
  /** The folder that is open. */
  workspace: string;
  /** The `.nofx` folder. */
  folder: string;
  /** The location of the store. */
  location: string;
  /** Why the store is read-only, if so. */
  readOnly: string | undefined;
}

/** Returns the location of the store of the first workspace folder. */
export async function placeOf(folder: vscode.WorkspaceFolder): Promise<Place> {
  const legacy = join(folder.uri.fsPath, '.nofx');
  // An untrusted workspace could name any file on this machine.
  const setting = vscode.workspace.isTrusted ? vscode.workspace.getConfiguration('nofx').get<string>('store') : '';
  const location = setting || `redb:${join(legacy, 'store', 'nofx.redb')}`;
  return { workspace: folder.uri.fsPath, folder: legacy, location, readOnly: await reasonToOnlyRead(folder.uri.fsPath) };
}

async function reasonToOnlyRead(folder: string): Promise<string | undefined> {
  if (!vscode.workspace.isTrusted) {
    return 'the workspace is not trusted';
  }
  const owner = (await stat(folder)).uid;
  const user = process.getuid?.();
  return user === undefined || owner === user ? undefined : 'the folder belongs to someone else';
}
