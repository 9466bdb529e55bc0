import * as vscode from 'vscode';
import { type SessionItem, sessionFor, titleOf } from './conversations';
import type { Desk } from './desk';

/** Registers the command that shows a conversation as an HTML page, as it is now. */
export function pageCommand(desk: Desk): vscode.Disposable {
  return desk.command<SessionItem>('nofx.showPage', async (item) => {
    const summary = await sessionFor(desk, item);
    if (summary === undefined) {
      return;
    }
    const html = await desk.workspace.exportHtml(summary.session.id);
    const options = { enableScripts: false, localResourceRoots: [], enableFindWidget: true };
    const panel = vscode.window.createWebviewPanel('nofx.page', titleOf(summary), vscode.ViewColumn.Active, options);
    panel.webview.html = html;
  });
}
