import type { HistoryEntry, SessionSummary, Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { counted } from './tree';

/** The scheme of the documents. */
export const SCHEME = 'nofx';

/** How many messages are shown; of a longer conversation, the newest, or those around one that was looked for. */
const SHOWN = 1000;

/** What a document shows: a session by its id, from a position on or at its end, or a text that is part of its address. */
type Content = { conversation: string; from?: number } | { text: string };

/** Where each message of a conversation begins in its document. */
interface Places {
  /** The position of the first message that is shown. */
  first: number;
  /** The line of each message from that one on. */
  lines: number[];
}

/** Shows content of the store as read-only documents. */
export class Documents implements vscode.TextDocumentContentProvider {
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #workspace: Workspace;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  /** Reads the documents of these sessions again if they are open. */
  refresh(isChanged: (session: string) => boolean): void {
    for (const { uri } of vscode.workspace.textDocuments) {
      const session = conversationOf(uri);
      if (session !== undefined && isChanged(session)) {
        this.#changed.fire(uri);
      }
    }
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const content = contentOf(uri);
    if ('text' in content) {
      return content.text;
    }
    const summary = await this.#workspace.session(content.conversation);
    if (summary === null) {
      return 'This conversation no longer exists.\n';
    }
    return written(summary, await read(this.#workspace, content.conversation, content.from)).text;
  }
}

/** Opens a session for reading, at one of its messages if requested. */
export async function showConversation(workspace: Workspace, session: string, position?: number): Promise<void> {
  const summary = await workspace.session(session);
  const isOld = position !== undefined && summary !== null && position < summary.messages - SHOWN;
  const from = isOld ? Math.max(0, position - SHOWN / 2) : undefined;
  const uri = addressOf(summary?.session.name || session, { conversation: session, from });
  const editor = await vscode.window.showTextDocument(uri, { preview: false });
  if (position === undefined || summary === null) {
    return;
  }
  const { first, lines } = written(summary, await read(workspace, session, from)).places;
  const line = lines[position - first];
  if (line !== undefined) {
    const start = new vscode.Position(line, 0);
    editor.selection = new vscode.Selection(start, start);
    editor.revealRange(new vscode.Range(start, start), vscode.TextEditorRevealType.AtTop);
  }
}

/** Opens a text for reading. */
export async function showText(title: string, text: string): Promise<void> {
  await vscode.window.showTextDocument(addressOf(title, { text }), { preview: true });
}

/** Returns the session that a document shows, if it shows one. */
export function conversationOf(uri: vscode.Uri | undefined): string | undefined {
  if (uri?.scheme !== SCHEME) {
    return undefined;
  }
  const content = contentOf(uri);
  return 'conversation' in content ? content.conversation : undefined;
}

function addressOf(title: string, content: Content): vscode.Uri {
  const name = title.replaceAll(/[/\\?#%\n]/g, ' ').toWellFormed();
  return vscode.Uri.from({ scheme: SCHEME, path: `/${name}.md`, query: encodeURIComponent(JSON.stringify(content)) });
}

function contentOf(uri: vscode.Uri): Content {
  return JSON.parse(decodeURIComponent(uri.query)) as Content;
}

/** Returns the messages that a document shows. */
function read(workspace: Workspace, session: string, from?: number): Promise<HistoryEntry[]> {
  return from === undefined ? workspace.tail(session, SHOWN) : workspace.history(session, { from, to: from + SHOWN }).all();
}

function written(summary: SessionSummary, entries: HistoryEntry[]): { text: string; places: Places } {
  const { session, state, messages } = summary;
  const facts = [session.agentName ?? session.agentId, state.replace('-', ' '), counted(messages, 'message')];
  let text = `# ${session.name || session.id}\n\n${facts.join(' · ')}\n`;
  const first = entries[0]?.position ?? messages;
  if (first > 0) {
    text += `\n*Older messages, ${first} of them, are not shown.*\n`;
  }
  let line = lineBreaks(text);
  const lines = entries.map((entry) => {
    const message = `\n## ${speakerOf(entry, summary)} · ${timeOf(entry)}\n\n${saidIn(entry)}\n`;
    const at = line + 1;
    text += message;
    line += lineBreaks(message);
    return at;
  });
  const newer = messages - (first + entries.length);
  if (newer > 0) {
    text += `\n*Newer messages, ${newer} of them, are not shown.*\n`;
  }
  return { text, places: { first, lines } };
}

function speakerOf({ message }: HistoryEntry, { session }: SessionSummary): string {
  switch (message.type) {
    case 'user':
      return 'You';
    case 'assistant':
      return session.agentName || 'Agent';
    case undefined:
      return 'Unknown';
    default:
      return message.type.charAt(0).toUpperCase() + message.type.slice(1);
  }
}

function timeOf({ at, message }: HistoryEntry): string {
  const time = new Date(message.timestamp ?? at);
  return Number.isNaN(time.valueOf()) ? (message.timestamp ?? at) : time.toLocaleString();
}

function saidIn({ message, unreadable }: HistoryEntry): string {
  return unreadable ?? message.content ?? JSON.stringify(message, undefined, 2);
}

function lineBreaks(text: string): number {
  // The same line breaks as in the editor.
  return text.match(/\r\n|\r|\n/g)?.length ?? 0;
}
