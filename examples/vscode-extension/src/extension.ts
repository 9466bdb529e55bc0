import { randomUUID } from 'node:crypto';
import { NofxError, open, type Workspace } from 'nofx-node';
import * as vscode from 'vscode';
import { Conversations, documentOf, SCHEME, sessionOf } from './conversation';
import { isLegacy, migrate } from './legacy';
import { Outbox } from './outbox';
import { type Place, placeOf } from './place';
import { SessionItem, SessionTree } from './tree';
import { UnsavedWarning } from './unsaved-warning';
import { suggestWatcherExclude } from './watcher-exclude';

/** How often unsaved messages are tried again. */
const RETRY_MS = 10_000;

/** The newest messages, among which one is looked for whose outcome is not known. */
const RECENT = 200;

/** How long the end waits for messages that are not saved yet. */
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
  // Trust is given once and for all, so the store is then opened again, to be written.
  context.subscriptions.push(vscode.workspace.onDidGrantWorkspaceTrust(() => void start(context, folder, log)));
  await start(context, folder, log);
}

/** Lets go of the store. The editor waits five seconds for it, and what was acknowledged is kept in any case. */
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
    // The store may have a reason of its own, such as a later version that wrote it.
    const place = { ...wanted, readOnly: wanted.readOnly ?? readOnly ?? undefined };
    await vscode.commands.executeCommand('setContext', 'nofx.writable', place.readOnly === undefined);
    log.info(`opened ${place.location} (${backend})${place.readOnly ? `, only to read: ${place.readOnly}` : ''}`);
    await show(context, workspace, place, log);
  } catch (error) {
    report(error, log, wanted.readOnly === undefined ? undefined : `Nothing can be shown: ${wanted.readOnly}.`);
  }
}

async function show(context: vscode.ExtensionContext, workspace: Workspace, place: Place, log: vscode.LogOutputChannel) {
  const tree = new SessionTree(workspace);
  const conversations = new Conversations(workspace);
  const warning = new UnsavedWarning();
  const outbox = new Outbox(outgoing(workspace), (unsaved, reason) => {
    warning.show(unsaved, reason);
    if (reason !== undefined) {
      log.warn(`${unsaved.length} messages are not saved: ${reason.message}`);
    }
  });
  const view = vscode.window.createTreeView('nofx.sessions', { treeDataProvider: tree });
  // Set in any case: the editor keeps the message of an earlier view of this name.
  view.message = place.readOnly === undefined ? '' : `Only to read: ${place.readOnly}.`;
  const retry = setInterval(() => outbox.unsaved.length > 0 && void outbox.save(), RETRY_MS);
  const command = (name: string, run: (item?: SessionItem) => Promise<unknown>) =>
    vscode.commands.registerCommand(name, (item?: SessionItem) => run(item).catch((error) => report(error, log)));

  const shown = vscode.Disposable.from(
    warning,
    view,
    new vscode.Disposable(() => clearInterval(retry)),
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, conversations),
    command('nofx.open', async (item) => {
      const chosen = item ?? (await choose(workspace));
      if (chosen !== undefined) {
        await vscode.window.showTextDocument(documentOf(chosen.summary), { preview: false });
      }
    }),
    command('nofx.addMessage', async (item) => {
      const session = item?.summary.session.id ?? current() ?? (await choose(workspace))?.summary.session.id;
      const content = session && (await vscode.window.showInputBox({ prompt: 'The message', ignoreFocusOut: true }));
      if (session && content) {
        const message = { id: randomUUID(), timestamp: new Date().toISOString(), type: 'user', content };
        await outbox.add({ session, message });
      }
    }),
    command('nofx.archive', async (item) => {
      const chosen = item ?? (await choose(workspace));
      await (chosen && workspace.archiveSession(chosen.summary.session.id));
    }),
    command('nofx.restore', async (item) => {
      const chosen = item ?? (await choose(workspace));
      await (chosen && workspace.restoreSession(chosen.summary.session.id));
    }),
    command('nofx.migrate', () => migrate(workspace, place.folder, log)),
    command('nofx.saveUnsaved', () => outbox.save()),
    command('nofx.more', async () => tree.showMore()),
  );
  opened = { workspace, outbox, shown };
  context.subscriptions.push(shown);
  void follow(workspace, tree, conversations).catch((error) => opened?.workspace === workspace && report(error, log));

  if (place.readOnly === undefined) {
    const done = `nofx.migrated ${workspace.info().store}`;
    if (context.workspaceState.get(done) !== true && (await isLegacy(place.folder))) {
      await migrate(workspace, place.folder, log);
      await context.workspaceState.update(done, true);
    }
    void suggestWatcherExclude(context.workspaceState);
  }
}

/** Shows what changes, by this window or another, until the store is closed. */
async function follow(workspace: Workspace, tree: SessionTree, conversations: Conversations): Promise<void> {
  for await (const { gap, events } of workspace.watch()) {
    tree.refresh();
    conversations.refresh((session) => gap || events.some((event) => event.session === session));
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

/** Returns the session whose conversation is being looked at. */
function current(): string | undefined {
  const uri = vscode.window.activeTextEditor?.document.uri;
  return uri && sessionOf(uri);
}

async function choose(workspace: Workspace): Promise<SessionItem | undefined> {
  const { items } = await workspace.summaryPage({ limit: 200 });
  const choices = items.map((summary) => {
    return { label: summary.session.name, description: summary.state, detail: summary.preview, item: new SessionItem(summary) };
  });
  return (await vscode.window.showQuickPick(choices, { placeHolder: 'Which session?' }))?.item;
}

function report(error: unknown, log: vscode.LogOutputChannel, instead?: string): void {
  const { message, nextStep } = error instanceof NofxError ? error : { message: String(error), nextStep: undefined };
  log.error(error instanceof Error ? error : message);
  void vscode.window.showErrorMessage(`NofX: ${instead ?? (nextStep ? `${message} (${nextStep})` : message)}`);
}
