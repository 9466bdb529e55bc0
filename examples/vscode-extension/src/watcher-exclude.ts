import * as vscode from 'vscode';

const PATTERN = '**/.nofx/store/**';

/** Suggests, once per workspace, that the editor does not watch the store: it changes with every message. */
export async function suggestWatcherExclude(memory: vscode.Memento): Promise<void> {
  const files = vscode.workspace.getConfiguration('files');
  const excluded = files.get<Record<string, boolean>>('watcherExclude') ?? {};
  if (excluded[PATTERN] !== undefined || memory.get('nofx.watcherExclude.asked') === true) {
    return;
  }
  const [exclude, leave] = ['Exclude', 'Not now'];
  const question = `The NofX store changes with every message. Exclude \`${PATTERN}\` from the editor's file watcher?`;
  const answer = await vscode.window.showInformationMessage(question, exclude, leave);
  if (answer === exclude) {
    await files.update('watcherExclude', { ...excluded, [PATTERN]: true }, vscode.ConfigurationTarget.Workspace);
  }
  if (answer !== undefined) {
    await memory.update('nofx.watcherExclude.asked', true);
  }
}
