import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CleanupPreview, PlannedSession, RetentionPolicy } from 'nofx-node';
import * as vscode from 'vscode';
import { type SessionItem, sessionFor, titleOf } from './conversations';
import type { Desk } from './desk';
import { counted } from './tree';

const DAY_MS = 86_400_000;

/** How many conversations a preview names; further ones are only counted. */
const NAMED = 8;

/** Registers the commands for cleanup, export and clearing. */
export function careCommands(desk: Desk, refresh: () => void): vscode.Disposable {
  return vscode.Disposable.from(
    desk.command('nofx.cleanUp', () => cleanUp(desk)),
    desk.command('nofx.clearAll', async () => {
      await clearAll(desk);
      refresh();
    }),
    desk.command<SessionItem>('nofx.export', async (item) => {
      const summary = await sessionFor(desk, item);
      await (summary && exportAs(desk, titleOf(summary), () => desk.workspace.exportMarkdown(summary.session.id)));
    }),
    desk.command('nofx.exportAgents', () => exportAs(desk, 'Agents', () => desk.workspace.exportAgentsMarkdown())),
  );
}

async function cleanUp({ workspace }: Desk): Promise<void> {
  const policy = policyOf(vscode.workspace.getConfiguration('nofx.cleanup'));
  const preview = await workspace.cleanupPreview(policy);
  const planned = preview.archive.length + preview.delete.length + preview.purge.length + preview.orchestrationMessages;
  if (planned === 0) {
    const settings = 'Open Settings';
    if ((await vscode.window.showInformationMessage('There is nothing to clean up.', settings)) === settings) {
      await vscode.commands.executeCommand('workbench.action.openSettings', 'nofx.cleanup');
    }
    return;
  }
  const act = 'Clean Up';
  const question = 'Clean up old conversations?';
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail: previewed(preview) }, act)) !== act) {
    return;
  }
  const done = await workspace.cleanup(policy);
  const parts = [`${done.archived} archived`, `${done.deleted} moved to the trash`, `${done.purged} deleted for good`];
  void vscode.window.showInformationMessage(`Conversations cleaned up: ${parts.join(', ')}.`);
}

/** Reads the cleanup settings. A rule with 0 days is off. */
function policyOf(settings: vscode.WorkspaceConfiguration): RetentionPolicy {
  const rule = (setting: string, member: keyof RetentionPolicy, unit: number) => {
    const value = settings.get<number>(setting) ?? 0;
    return value > 0 ? { [member]: value * unit } : {};
  };
  return {
    ...rule('archiveAfterDays', 'archiveAfterMs', DAY_MS),
    ...rule('trashAfterDays', 'deleteAfterMs', DAY_MS),
    ...rule('emptyTrashAfterDays', 'purgeAfterMs', DAY_MS),
  };
}

function previewed({ archive, delete: deleted, purge, orchestrationMessages }: CleanupPreview): string {
  const messages = counted(orchestrationMessages, 'message');
  return [
    ...listed('Archive', archive),
    ...listed('Move to the trash', deleted),
    ...listed('Delete for good', purge),
    ...(orchestrationMessages > 0 ? [`Delete ${messages} between agents for good.`] : []),
  ].join('\n\n');
}

function listed(what: string, sessions: PlannedSession[]): string[] {
  if (sessions.length === 0) {
    return [];
  }
  const names = sessions.slice(0, NAMED).map(({ session }) => `• ${session.name || session.id}`);
  const others = sessions.length > NAMED ? [`… and ${sessions.length - NAMED} more`] : [];
  return [[`${what}: ${counted(sessions.length, 'conversation')}`, ...names, ...others].join('\n')];
}

async function clearAll({ workspace, log }: Desk): Promise<void> {
  const act = 'Clear All Data';
  const detail =
    'Conversations, agents, templates and messages between agents are deleted permanently. This cannot be undone. Files of the old version stay ' +
    'where they are and are not imported again.';
  if ((await vscode.window.showWarningMessage('Clear all data of this workspace?', { modal: true, detail }, act)) !== act) {
    return;
  }
  const { sessions, left } = await workspace.clearAll();
  left.forEach((error) => log.warn(error.message));
  const told = `All data is cleared: ${counted(sessions, 'conversation')}.`;
  void (left.length === 0
    ? vscode.window.showInformationMessage(told)
    : vscode.window.showWarningMessage(`${told} ${counted(left.length, 'thing')} could not be read and stayed.`));
}

async function exportAs({ folder }: Desk, title: string, read: () => Promise<string>): Promise<void> {
  // Without characters that file names cannot have on every platform.
  const name = title.replaceAll(/[/\\?#%:*"<>|\n]/g, ' ').toWellFormed().trim();
  const defaultUri = vscode.Uri.file(join(folder.fsPath, `${name}.md`));
  const chosen = await vscode.window.showSaveDialog({ defaultUri, filters: { Markdown: ['md'] }, title: 'Export as Markdown' });
  if (chosen === undefined) {
    return;
  }
  await writeFile(chosen.fsPath, await read());
  await vscode.window.showTextDocument(chosen);
}
