import type { Agent, SessionState, SessionSummary, Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { chooseAgent } from './agents';
import type { Desk } from './desk';
import { conversationOf, showConversation } from './documents';
import { counted, leaf, Tree } from './tree';

/** How many sessions are read at once. */
const PAGE = 500;

/** How many sessions the user can choose from. */
const CHOICES = 200;

const GROUPS: { label: string; states: SessionState[]; icon: string }[] = [
  { label: 'Active', states: ['active', 'expires-soon'], icon: 'play-circle' },
  { label: 'Paused', states: ['paused'], icon: 'debug-pause' },
  { label: 'Expired', states: ['expired'], icon: 'history' },
  { label: 'Archived', states: ['archived'], icon: 'archive' },
];

/** The sessions of a store by their current state, most recently active first, and the trash. */
export class ConversationTree extends Tree {
  readonly #workspace: Workspace;
  #pages = 1;
  #groups = new Map<string, SessionItem[]>();

  constructor(workspace: Workspace) {
    super();
    this.#workspace = workspace;
  }

  showMore(): void {
    this.#pages += 1;
    this.refresh();
  }

  async getChildren(item?: vscode.TreeItem): Promise<vscode.TreeItem[]> {
    return item === undefined ? await this.#load() : (this.#groups.get(item.id ?? '') ?? []);
  }

  async #load(): Promise<vscode.TreeItem[]> {
    const [found, trash] = await Promise.all([this.#some(false), this.#some(true)]);
    this.#groups = new Map();
    const groups = GROUPS.flatMap(({ label, states, icon }) => {
      return this.#group(label, icon, found.items.filter(({ state }) => states.includes(state)));
    });
    groups.push(...this.#group('Trash', 'trash', trash.items));
    return found.more || trash.more ? [...groups, more()] : groups;
  }

  /** Reads as many pages as are shown. */
  async #some(trash: boolean): Promise<{ items: SessionSummary[]; more: boolean }> {
    const items: SessionSummary[] = [];
    for await (const summary of this.#workspace.summaries({ trash })) {
      if (items.length === this.#pages * PAGE) {
        return { items, more: true };
      }
      items.push(summary);
    }
    return { items, more: false };
  }

  #group(label: string, icon: string, summaries: SessionSummary[]): vscode.TreeItem[] {
    if (summaries.length === 0) {
      return [];
    }
    this.#groups.set(label, summaries.map((summary) => new SessionItem(summary)));
    const item = leaf(label, { icon, description: String(summaries.length) });
    item.id = label;
    const { Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    item.collapsibleState = label === 'Trash' ? Collapsed : Expanded;
    return [item];
  }
}

/** A session in the tree. */
export class SessionItem extends vscode.TreeItem {
  readonly summary: SessionSummary;

  constructor(summary: SessionSummary) {
    super(titleOf(summary));
    this.summary = summary;
    const { session, state, messages, preview, lastActiveAt } = summary;
    this.id = session.id;
    this.description = counted(messages, 'message');
    const when = `Last active ${new Date(lastActiveAt).toLocaleString()}`;
    this.tooltip = [titleOf(summary), preview, session.agentName, when].filter(Boolean).join('\n');
    this.iconPath = new vscode.ThemeIcon(state === 'expires-soon' ? 'watch' : 'comment-discussion');
    this.contextValue = state === 'archived' || state === 'deleted' ? `session-${state}` : 'session-open';
    this.command = { command: 'nofx.open', title: 'Open Conversation', arguments: [this] };
  }
}

/** Returns the display name of a session. */
export function titleOf({ session }: SessionSummary): string {
  return session.name || session.id;
}

/** Returns the session for a command: the one it was given, the one in the active editor, or one that the user chooses. */
export async function sessionFor(desk: Desk, item: SessionItem | undefined): Promise<SessionSummary | undefined> {
  const current = conversationOf(vscode.window.activeTextEditor?.document.uri);
  return item?.summary ?? (current === undefined ? null : await desk.workspace.session(current)) ?? (await choose(desk));
}

async function choose({ workspace }: Desk): Promise<SessionSummary | undefined> {
  const { items } = await workspace.summaryPage({ limit: CHOICES });
  const choices = items.map((summary) => ({
    label: `$(comment-discussion) ${titleOf(summary)}`,
    description: summary.state,
    detail: summary.preview ?? '',
    summary,
  }));
  return (await vscode.window.showQuickPick(choices, { placeHolder: 'Which conversation?', matchOnDetail: true }))?.summary;
}

/** Registers the commands for conversations. */
export function conversationCommands(desk: Desk, tree: ConversationTree): vscode.Disposable {
  const { workspace } = desk;
  const forChosen = (name: string, act: (id: string) => Promise<unknown>) =>
    desk.command<SessionItem>(name, async (item) => {
      const summary = await sessionFor(desk, item);
      await (summary && act(summary.session.id));
    });
  return vscode.Disposable.from(
    desk.command<{ agent: Agent }>('nofx.newConversation', async (item) => {
      const agent = item?.agent ?? (await chooseAgent(desk));
      const prompt = 'What is the conversation about?';
      const name = agent && (await vscode.window.showInputBox({ title: 'New Conversation', prompt, ignoreFocusOut: true }));
      if (agent && name !== undefined) {
        const called = name === '' ? {} : { name };
        const { id } = await workspace.createSession({ agent, ...called, workingDirectory: desk.folder.fsPath });
        await showConversation(workspace, id);
      }
    }),
    desk.command<SessionItem>('nofx.open', async (item) => {
      const chosen = item?.summary ?? (await choose(desk));
      await (chosen && showConversation(workspace, chosen.session.id));
    }),
    forChosen('nofx.archive', (id) => workspace.archiveSession(id)),
    forChosen('nofx.restore', (id) => workspace.restoreSession(id)),
    forChosen('nofx.delete', (id) => workspace.deleteSession(id)),
    forChosen('nofx.undelete', (id) => workspace.undeleteSession(id)),
    desk.command<SessionItem>('nofx.purge', async (item) => {
      const remove = 'Delete for Good';
      const question = item && `Delete “${titleOf(item.summary)}” for good?`;
      const detail = 'Its messages and tasks are removed. This cannot be undone.';
      if (question && (await vscode.window.showWarningMessage(question, { modal: true, detail }, remove)) === remove) {
        await workspace.purgeSession(item.summary.session.id);
      }
    }),
    desk.command('nofx.more', async () => tree.showMore()),
  );
}

function more(): vscode.TreeItem {
  const item = leaf('Show more …', { icon: 'ellipsis' });
  item.command = { command: 'nofx.more', title: 'Show More' };
  return item;
}
