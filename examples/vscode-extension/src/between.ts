import type { OrchestrationMessage } from 'nofx-node';
import * as vscode from 'vscode';
import type { Desk } from './desk';
import { showText } from './documents';
import { leaf, Tree } from './tree';

/** How many messages are shown: the newest. */
const SHOWN = 500;

/** What agents and the conductor have told each other, newest first. */
export class BetweenTree extends Tree {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    super();
    this.#desk = desk;
  }

  async getChildren(): Promise<vscode.TreeItem[]> {
    const { workspace } = this.#desk;
    const [agents, messages] = await Promise.all([
      workspace.agents().all(),
      workspace.orchestrationHistory({ limit: SHOWN + 1 }).all(),
    ]);
    const names = new Map(agents.map(({ id, name }) => [id, name]));
    const items = messages.slice(0, SHOWN).map((message) => itemOf(message, names));
    return messages.length > SHOWN ? [...items, leaf('Older messages are not shown', { icon: 'ellipsis' })] : items;
  }
}

/** Registers the commands for these messages. */
export function betweenCommands(desk: Desk): vscode.Disposable {
  return desk.command<OrchestrationMessage>('nofx.showMessage', async (message) => {
    await (message && showText(labelOf(message), asMarkdown(message)));
  });
}

function itemOf(message: OrchestrationMessage, names: Map<string, string>): vscode.TreeItem {
  if (message.unreadable !== undefined) {
    return leaf('A message that cannot be read', { icon: 'warning', tooltip: message.unreadable });
  }
  const called = (id: string | undefined) => {
    // Some participants have their kind before their id.
    return names.get(id ?? '') ?? names.get(id?.replace(/^agent-/, '') ?? '') ?? id ?? '?';
  };
  const item = leaf(labelOf(message), {
    icon: message.requiresAck ? 'mail' : 'mail-read',
    description: `${called(message.from)} → ${called(message.to)}`,
    tooltip: new vscode.MarkdownString(asMarkdown(message)),
  });
  item.command = { command: 'nofx.showMessage', title: 'Show Message', arguments: [message] };
  return item;
}

/** Returns the type of a message as people would write it. */
function labelOf({ type = 'message' }: OrchestrationMessage): string {
  const words = type.replaceAll(/[_-]/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function asMarkdown(message: OrchestrationMessage): string {
  const { timestamp, payload } = message;
  const when = timestamp === undefined ? '' : `${new Date(timestamp).toLocaleString()}\n\n`;
  return `# ${labelOf(message)}\n\n${when}\`\`\`json\n${JSON.stringify(payload ?? null, undefined, 2)}\n\`\`\`\n`;
}
