import type { HistoryEntry, SessionSummary, Workspace } from 'nofx-node';
import * as vscode from 'vscode';

/** The scheme of the documents. */
export const SCHEME = 'nofx';

/** Messages that are shown; of a longer conversation the newest. */
const SHOWN = 1000;

/** Shows a session as a document to read. */
export class Conversations implements vscode.TextDocumentContentProvider {
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #workspace: Workspace;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  /** Shows the documents of these sessions anew where they are open. */
  refresh(isChanged: (session: string) => boolean): void {
    for (const { uri } of vscode.workspace.textDocuments) {
      const session = sessionOf(uri);
      if (session !== undefined && isChanged(session)) {
        this.#changed.fire(uri);
      }
    }
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const session = sessionOf(uri) ?? '';
    const summary = await this.#workspace.session(session);
    if (summary === null) {
      return 'This session no longer exists.\n';
    }
    const entries: HistoryEntry[] = [];
    for await (const entry of this.#workspace.history(session, { newestFirst: true })) {
      entries.push(entry);
      if (entries.length === SHOWN) {
        break;
      }
    }
    return written(summary, entries.reverse());
  }
}

/** Returns the document of a session. */
export function documentOf({ session }: SessionSummary): vscode.Uri {
  const name = (session.name || session.id).replaceAll(/[/\\?#%]/g, ' ').toWellFormed();
  return vscode.Uri.from({ scheme: SCHEME, path: `/${name}.md`, query: encodeURIComponent(JSON.stringify(session.id)) });
}

/** Returns the session that a document shows. */
export function sessionOf(uri: vscode.Uri): string | undefined {
  return uri.scheme === SCHEME ? (JSON.parse(decodeURIComponent(uri.query)) as string) : undefined;
}

function written({ session, state, messages, restoredFrom }: SessionSummary, entries: HistoryEntry[]): string {
  const facts = [session.agentName ?? session.agentId, state, `${messages} messages`];
  if (restoredFrom !== undefined) {
    facts.push(`restored from ${restoredFrom}`);
  }
  const head = `# ${session.name || session.id}\n\n${facts.join(' · ')}\n`;
  const older = messages - entries.length;
  const skipped = older > 0 ? `\n*${older} older messages are not shown.*\n` : '';
  const talk = entries.map(({ at, message, unreadable }) => {
    const content = unreadable ?? message.content ?? JSON.stringify(message, undefined, 2);
    return `\n## ${message.type ?? 'unknown'} · ${message.timestamp ?? at}\n\n${content}\n`;
  });
  return head + skipped + talk.join('');
}
