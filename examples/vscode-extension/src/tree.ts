import * as vscode from 'vscode';

/** A tree whose items are read again whenever something changes. */
export abstract class Tree implements vscode.TreeDataProvider<vscode.TreeItem> {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  refresh(): void {
    this.#changed.fire();
  }

  getTreeItem(item: vscode.TreeItem): vscode.TreeItem {
    return item;
  }

  abstract getChildren(item?: vscode.TreeItem): Promise<vscode.TreeItem[]>;
}

/** What an item shows beside its label. */
interface Look {
  icon: string;
  /** The id of a color of the theme. */
  color?: string;
  description?: string;
  tooltip?: string | vscode.MarkdownString;
}

/** Creates an item without children. */
export function leaf(label: string, { icon, color, description, tooltip }: Look): vscode.TreeItem {
  const item = new vscode.TreeItem(label);
  item.iconPath = new vscode.ThemeIcon(icon, color === undefined ? undefined : new vscode.ThemeColor(color));
  item.description = description ?? '';
  item.tooltip = tooltip;
  return item;
}

/** Formats a number of things. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}
