import { randomUUID } from 'node:crypto';
import type { Agent, ListedAgent, Template } from 'nofx-node';
import * as vscode from 'vscode';
import type { Desk } from './desk';
import { showText } from './documents';
import { counted, leaf, Tree } from './tree';

/** The agents of a store; below each, its template and the totals of its sessions. */
export class AgentTree extends Tree {
  readonly #desk: Desk;

  constructor(desk: Desk) {
    super();
    this.#desk = desk;
  }

  async getChildren(item?: vscode.TreeItem): Promise<vscode.TreeItem[]> {
    if (item instanceof AgentItem) {
      return [...templateOf(item.agent), ...(await this.#totals(item.agent.id))];
    }
    const agents = await this.#desk.workspace.agents().all();
    return agents.map((agent) => {
      return agent.unreadable === undefined ? new AgentItem(agent) : leaf('An agent that cannot be read', unreadable(agent));
    });
  }

  async #totals(agent: string): Promise<vscode.TreeItem[]> {
    const totals = await this.#desk.workspace.agentTotals(agent);
    const messages = counted(totals.messages, 'message');
    const unfinished = totals.tasksFailed + totals.tasksInterrupted;
    return [
      leaf(counted(totals.sessions, 'conversation'), { icon: 'comment-discussion', description: messages }),
      leaf(`${counted(totals.tasksCompleted, 'task')} done`, {
        icon: 'checklist',
        ...(unfinished > 0 && { description: `${unfinished} not finished` }),
      }),
    ];
  }
}

/** An agent in the tree. */
export class AgentItem extends vscode.TreeItem {
  readonly agent: Agent;

  constructor(agent: ListedAgent) {
    super(agent.name || agent.id, vscode.TreeItemCollapsibleState.Collapsed);
    this.agent = agent;
    this.id = agent.id;
    this.description = agent.type;
    this.iconPath = new vscode.ThemeIcon('hubot');
    this.contextValue = 'agent';
  }
}

/** Lets the user choose an agent, or create one if there is none yet. */
export async function chooseAgent(desk: Desk): Promise<Agent | undefined> {
  const agents = (await desk.workspace.agents().all()).filter(({ unreadable }) => unreadable === undefined);
  if (agents.length === 0) {
    return await newAgent(desk);
  }
  const choices = agents.map((agent) => ({ label: `$(hubot) ${agent.name}`, description: agent.type, agent }));
  return (await vscode.window.showQuickPick(choices, { title: 'New Conversation', placeHolder: 'With which agent?' }))?.agent;
}

/** Registers the commands for agents. */
export function agentCommands(desk: Desk): vscode.Disposable {
  return vscode.Disposable.from(
    desk.command('nofx.newAgent', () => newAgent(desk)),
    desk.command<AgentItem>('nofx.removeAgent', async (item) => {
      const remove = 'Remove';
      const question = item && `Remove the agent “${item.agent.name}”?`;
      const detail = 'Its conversations stay.';
      if (question && (await vscode.window.showWarningMessage(question, { modal: true, detail }, remove)) === remove) {
        await desk.workspace.removeAgent(item.agent.id);
      }
    }),
    desk.command<Template>('nofx.showTemplate', async (template) => {
      await (template && showText(nameOf(template), asMarkdown(template)));
    }),
  );
}

async function newAgent(desk: Desk): Promise<Agent | undefined> {
  const title = 'New Agent';
  const name = await vscode.window.showInputBox({ title, prompt: 'What is the agent called?', ignoreFocusOut: true });
  if (!name) {
    return undefined;
  }
  const templates = (await desk.workspace.templates().all()).filter(({ unreadable }) => unreadable === undefined);
  const choices = [
    ...templates.map((template) => ({ label: `$(book) ${nameOf(template)}`, make: async () => template })),
    { label: '$(add) New template …', make: () => newTemplate(desk, templates) },
  ];
  const placeHolder = 'What should the agent be told before a conversation begins?';
  const choice = await vscode.window.showQuickPick(choices, { title, placeHolder, ignoreFocusOut: true });
  const template = await choice?.make();
  if (template === undefined) {
    return undefined;
  }
  const agent = { id: `agent-${randomUUID()}`, name, type: template.id ?? 'agent', template };
  await desk.workspace.saveAgent(agent);
  return agent;
}

/** Asks for a template and saves it under an unused name. */
async function newTemplate(desk: Desk, others: Template[]): Promise<Template | undefined> {
  const title = 'New Template';
  const idOf = (name: string) => name.trim().toLowerCase().replaceAll(/\s+/g, '-');
  const validateInput = (name: string) =>
    others.some(({ id }) => id === idOf(name)) ? `A template called “${name.trim()}” already exists.` : undefined;
  const name = await vscode.window.showInputBox({ title, prompt: 'What is the template called?', ignoreFocusOut: true, validateInput });
  const prompt = 'What should agents made from it be told?';
  const systemPrompt = name && (await vscode.window.showInputBox({ title, prompt, ignoreFocusOut: true }));
  if (!name || !systemPrompt) {
    return undefined;
  }
  const template = { id: idOf(name), name, systemPrompt };
  await desk.workspace.saveTemplate(template);
  return template;
}

function templateOf({ template }: Agent): vscode.TreeItem[] {
  if (typeof template !== 'object' || template === null) {
    return [];
  }
  const item = leaf(nameOf(template as Template), { icon: 'book', description: 'template' });
  item.command = { command: 'nofx.showTemplate', title: 'Show Template', arguments: [template] };
  return [item];
}

function nameOf({ name, id }: Template): string {
  return name || id || 'Template';
}

function asMarkdown(template: Template): string {
  const { description, systemPrompt } = template;
  const parts = [`# ${nameOf(template)}`, description, systemPrompt && `## System prompt\n\n${systemPrompt}`];
  return `${parts.filter((part) => typeof part === 'string' && part !== '').join('\n\n')}\n`;
}

function unreadable({ unreadable }: ListedAgent) {
  return { icon: 'warning', ...(unreadable !== undefined && { tooltip: unreadable }) };
}
