import { randomUUID } from 'node:crypto';
import { open, type Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { agentCommands, AgentTree } from './agents';
import { betweenCommands, BetweenTree } from './between';
import { careCommands } from './care';
import { conversationCommands, ConversationTree, type SessionItem, sessionFor } from './conversations';
import { Desk, report } from './desk';
import { conversationOf, Documents, SCHEME } from './documents';
import { tellExpiry } from './expiry';
import { isLegacy, migrate } from './migration';
import { Outbox } from './outbox';
import { pageCommand } from './page';
import { type Place, placeOf } from './place';
import { searchCommands } from './search';
import { taskCommands, TaskTree } from './tasks';
import type { Tree } from './tree';
import { UnsavedWarning } from './unsaved-warning';

/** How often to retry unsaved messages. */
const RETRY_MS = 10_000;

/** How many of the newest messages to search for one whose outcome is not known. */
const RECENT = 200;

/** How long deactivation waits for messages that are not saved yet. */
const LAST_SAVE_MS = 1000;

let opened: Opened | undefined;

/** A store, and what the editor shows of it. */
interface Opened {
  workspace: Workspace;
  outbox: Outbox;
  shown: vscode.Disposable;
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('NofX', { log: true });
  context.subscriptions.push(log);
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (folder === undefined || folder.uri.scheme !== 'file') {
    log.info('no folder is open, so there is no store');
    return;
  }
  // Trust is only ever granted, so the store is then reopened for writing.
  context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => void start(context, folder, log)));
  await start(context, folder, log);
}

/** Releases the store. The editor waits five seconds for this, and acknowledged messages are durable in any case. */
export async function deactivate(): Promise<void> {
  const last = opened;
  opened = undefined;
  if (last === undefined) {
    return;
  }
  last.shown.dispose();
  const patience = new Promise((resolve) => setTimeout(resolve, LAST_SAVE_MS));
  await Promise.race([last.outbox.save().catch(() => undefined), patience]);
  await last.workspace.close();
}

async function start(context: vscode.ExtensionContext, folder: vscode.WorkspaceFolder, log: vscode.LogOutputChannel) {
  const wanted = await placeOf(folder);
  try {
    // Before anything is registered again.
    await deactivate();
    const workspace = await open(wanted.location, { readOnly: wanted.readOnly !== undefined });
    const { backend, readOnly } = workspace.info();
    // The store itself may be read-only, for example because a later version wrote it.
    const place = { ...wanted, readOnly: wanted.readOnly ?? readOnly ?? undefined };
    await vscode.commands.executeCommand('setContext', 'nofx.open', true);
    await vscode.commands.executeCommand('setContext', 'nofx.writable', place.readOnly === undefined);
    log.info(`opened ${place.location} (${backend})${place.readOnly ? `, only to read: ${place.readOnly}` : ''}`);
    await show(context, workspace, place, log);
  } catch (error) {
    report(error, log, wanted.readOnly === undefined ? undefined : `Nothing can be shown: ${wanted.readOnly}.`);
  }
}

async function show(context: vscode.ExtensionContext, workspace: Workspace, place: Place, log: vscode.LogOutputChannel) {
  const desk = new Desk(workspace, vscode.Uri.file(place.workspace), log);
  const documents = new Documents(workspace);
  const [conversations, agents] = [new ConversationTree(workspace), new AgentTree(desk)];
  const [tasks, between] = [new TaskTree(desk), new BetweenTree(desk)];
  const trees = [conversations, agents, tasks, between];
  const warning = new UnsavedWarning();
  const outbox = new Outbox(outgoing(workspace), (unsaved, reason) => {
    warning.show(unsaved, reason);
    if (reason !== undefined) {
      log.warn(`${unsaved.length} messages are not saved: ${reason.message}`);
    }
  });
  const view = vscode.window.createTreeView('nofx.conversations', { treeDataProvider: conversations });
  // Always set: the editor keeps the message of an earlier view of this name.
  view.message = place.readOnly === undefined ? '' : `Read-only: ${place.readOnly}.`;
  const retry = setInterval(() => outbox.unsaved.length > 0 && void outbox.save(), RETRY_MS);
  const refresh = () => trees.forEach((tree) => tree.refresh());
  const follows = (editor: vscode.TextEditor | undefined) => void tasks.show(conversationOf(editor?.document.uri));

  const shown = vscode.Disposable.from(
    warning,
    view,
    tasks,
    new vscode.Disposable(() => clearInterval(retry)),
    vscode.window.registerTreeDataProvider('nofx.agents', agents),
    vscode.window.registerTreeDataProvider('nofx.between', between),
    vscode.window.onDidChangeActiveTextEditor(follows),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, documents),
    conversationCommands(desk, conversations),
    agentCommands(desk),
    taskCommands(desk),
    betweenCommands(desk),
    searchCommands(desk),
    careCommands(desk, refresh),
    pageCommand(desk),
    desk.command<SessionItem>('nofx.addMessage', async (item) => {
      const session = (await sessionFor(desk, item))?.session.id;
      const content = session && (await vscode.window.showInputBox({ prompt: 'The message', ignoreFocusOut: true }));
      if (session && content) {
        const message = { id: randomUUID(), timestamp: new Date().toISOString(), type: 'user', content };
        await outbox.add({ session, message });
      }
    }),
    desk.command('nofx.migrate', () => migrate(workspace, place.folder, log)),
    desk.command('nofx.saveUnsaved', () => outbox.save()),
  );
  opened = { workspace, outbox, shown };
  context.subscriptions.push(shown);
  follows(vscode.window.activeTextEditor);
  const unlessClosed = (error: unknown) => opened?.workspace === workspace && report(error, log);
  void follow(workspace, trees, documents).catch(unlessClosed);

  if (place.readOnly === undefined) {
    const legacy = await isLegacy(place.folder);
    await vscode.commands.executeCommand('setContext', 'nofx.legacy', legacy);
    const done = `nofx.migrated ${workspace.info().store}`;
    if (legacy && context.workspaceState.get(done) !== true) {
      await migrate(workspace, place.folder, log);
      await context.workspaceState.update(done, true);
    }
    void tellExpiry(desk).catch(unlessClosed);
  }
}

/** Shows changes from this window or another, until the store is closed. */
async function follow(workspace: Workspace, trees: Tree[], documents: Documents): Promise<void> {
  for await (const { gap, events } of workspace.watch()) {
    trees.forEach((tree) => tree.refresh());
    documents.refresh((session) => gap || events.some((event) => event.session === session));
  }
}

function outgoing(workspace: Workspace) {
  return {
    addMessage: workspace.addMessage.bind(workspace),
    has: async (session: string, messageId: string) => {
      const length = (await workspace.session(session))?.messages ?? 0;
      const recent = await workspace.history(session, { from: Math.max(0, length - RECENT) }).all();
      return recent.some((entry) => entry.message.id === messageId);
    },
  };
}
