import type { SearchHit, Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { type Desk, report } from './desk';
import { showConversation } from './documents';

/** How many messages are offered. */
const OFFERED = 100;

/** How long to wait for the next key before searching. */
const PAUSE_MS = 200;

interface Found extends vscode.QuickPickItem {
  hit: SearchHit;
}

/** Registers the search across all conversations: it searches as the user types. */
export function searchCommands(desk: Desk): vscode.Disposable {
  return desk.command('nofx.search', async () => {
    const box = vscode.window.createQuickPick<Found>();
    box.title = 'Search All Conversations';
    box.placeholder = 'Words that a message contains';
    let running = new AbortController();
    box.onDidChangeValue((value) => {
      running.abort();
      running = new AbortController();
      const { signal } = running;
      box.busy = true;
      void offer(desk.workspace, value, signal)
        .then((items) => !signal.aborted && (box.items = items))
        .catch((error: unknown) => signal.aborted || report(error, desk.log))
        .finally(() => signal.aborted || (box.busy = false));
    });
    box.onDidAccept(() => {
      const [chosen] = box.selectedItems;
      box.hide();
      const shown = chosen && showConversation(desk.workspace, chosen.hit.session, chosen.hit.position);
      void shown?.catch((error: unknown) => report(error, desk.log));
    });
    box.onDidHide(() => {
      running.abort();
      box.dispose();
    });
    box.show();
  });
}

async function offer(workspace: Workspace, value: string, signal: AbortSignal): Promise<Found[]> {
  const words = value.split(/\s+/).filter(Boolean);
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  if (signal.aborted || words.length === 0) {
    return [];
  }
  const { hits } = await workspace.search({ words, limit: OFFERED }, { signal });
  return hits.map((hit) => ({
    label: `$(comment) ${hit.snippet}`,
    description: hit.name,
    detail: new Date(hit.at).toLocaleString(),
    // A match need not look like the typed text, so the editor must not filter.
    alwaysShow: true,
    hit,
  }));
}
