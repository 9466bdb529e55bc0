import type { SessionState, SessionSummary, Workspace } from 'nofx-node';
import * as vscode from 'vscode';

/** Sessions that are looked at together. */
const PAGE = 500;

const GROUPS: { label: string; states: SessionState[]; icon: string }[] = [
  { label: 'Active', states: ['active', 'expires-soon'], icon: 'play-circle' },
  { label: 'Paused', states: ['paused'], icon: 'debug-pause' },
  { label: 'Expired', states: ['expired'], icon: 'history' },
  { label: 'Archived', states: ['archived'], icon: 'archive' },
];

/** The sessions of a store by what holds of them now, newest activity first. */
export class SessionTree implements vscode.TreeDataProvider<vscode.TreeItem> {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #workspace: Workspace;
  #pages = 1;
  #groups = new Map<string, SessionItem[]>();

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  refresh(): void {
    this.#changed.fire();
  }

  showMore(): void {
    this.#pages += 1;
    this.refresh();
  }

  getTreeItem(item: vscode.TreeItem): vscode.TreeItem {
    return item;
  }

  async getChildren(item?: vscode.TreeItem): Promise<vscode.TreeItem[]> {
    return item === undefined ? await this.#load() : (this.#groups.get(item.id ?? '') ?? []);
  }

  async #load(): Promise<vscode.TreeItem[]> {
    const found: SessionSummary[] = [];
    let after: string | null = null;
    for (let page = 0; page < this.#pages && (page === 0 || after !== null); page += 1) {
      const { items, next }: { items: SessionSummary[]; next: string | null } = await this.#workspace.summaryPage({
        after,
        limit: PAGE,
      });
      found.push(...items);
      after = next;
    }
    this.#groups = new Map();
    const items = GROUPS.flatMap(({ label, states, icon }) => {
      const sessions = found.filter((summary) => states.includes(summary.state)).map((summary) => new SessionItem(summary));
      this.#groups.set(label, sessions);
      return sessions.length > 0 ? [group(label, sessions.length, icon)] : [];
    });
    return after === null ? items : [...items, more()];
  }
}

/** A session in the tree. */
export class SessionItem extends vscode.TreeItem {
  readonly summary: SessionSummary;

  constructor(summary: SessionSummary) {
    super(summary.session.name || summary.session.id);
    this.summary = summary;
    this.id = summary.session.id;
    this.description = `${summary.messages} messages`;
    this.tooltip = [summary.preview, `last active ${summary.lastActiveAt}`, summary.session.id].filter(Boolean).join('\n');
    this.iconPath = new vscode.ThemeIcon('comment-discussion');
    this.contextValue = summary.state === 'archived' ? 'session-archived' : 'session-open';
    this.command = { command: 'nofx.open', title: 'Open conversation', arguments: [this] };
  }
}

function group(label: string, count: number, icon: string): vscode.TreeItem {
  const item = new vscode.TreeItem(label, vscode.TreeItemCollapsibleState.Expanded);
  item.id = label;
  item.description = String(count);
  item.iconPath = new vscode.ThemeIcon(icon);
  return item;
}

function more(): vscode.TreeItem {
  const item = new vscode.TreeItem('Show more …');
  item.command = { command: 'nofx.more', title: 'Show more' };
  return item;
}
