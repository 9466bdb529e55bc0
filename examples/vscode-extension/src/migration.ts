import { readdir } from 'node:fs/promises';
import type { MigrationReport, Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { counted } from './tree';

/** What the old extension stored in the folder. */
const FAMILIAR = ['agents.json', 'sessions', 'archives', 'orchestration', 'templates'];

/** Returns whether the old extension has left data in a folder. */
export async function isLegacy(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  return names.some((name) => FAMILIAR.includes(name));
}

/** Migrates a legacy folder and shows the progress. */
export async function migrate(workspace: Workspace, folder: string, log: vscode.LogOutputChannel): Promise<MigrationReport> {
  const title = 'NofX: importing conversations from the old version';
  const report = await vscode.window.withProgress({ location: vscode.ProgressLocation.Notification, title }, (progress) => {
    let [phase, percent] = ['', 0];
    return workspace.migrate(folder, {
      onProgress: (now) => {
        if (now.phase !== phase) {
          [phase, percent] = [now.phase, 0];
        }
        const reached = now.totalBytes > 0 ? Math.floor((100 * now.bytes) / now.totalBytes) : 0;
        // Three phases share the bar.
        progress.report({ message: `${now.phase}, ${now.files} of ${now.totalFiles} files`, increment: (reached - percent) / 3 });
        percent = reached;
      },
    });
  });
  log.info(report.text);
  const sessions = report.added.sessions ?? 0;
  const messages = counted(report.added.messages ?? 0, 'message');
  const told = `NofX has imported ${counted(sessions, 'conversation')} with ${messages} from ${counted(report.files, 'file')}.`;
  const show = 'Show Report';
  const answer = report.complete && !report.damaged
    ? vscode.window.showInformationMessage(`${told} The old files stay unchanged.`, show)
    : vscode.window.showWarningMessage(`${told} Some things need attention.`, show);
  void answer.then((choice) => choice === show && log.show());
  return report;
}
