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

let opened: { workspace: Workspace; outbox: Outbox } | undefined;

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

export async function deactivate(): Promise<void> {
  const last = opened;
  opened = undefined;
  await last?.outbox.save().catch(() => undefined);
  await last?.workspace.close();
}

async function start(context: vscode.ExtensionContext, folder: vscode.WorkspaceFolder, log: vscode.LogOutputChannel) {
  const place = await placeOf(folder);
  try {
    await deactivate();
    await vscode.commands.executeCommand('setContext', 'nofx.writable', place.readOnly === undefined);
    const workspace = await open(place.location, { readOnly: place.readOnly !== undefined });
    const { backend, readOnly } = workspace.info();
    log.info(`opened ${place.location} (${backend})${readOnly ? `, only to read: ${place.readOnly ?? readOnly}` : ''}`);
    await show(context, workspace, place, log);
  } catch (error) {
    report(error, log, place.readOnly === undefined ? undefined : `Nothing can be shown: ${place.readOnly}.`);
  }
}

async function show(context: vscode.ExtensionContext, workspace: Workspace, place: Place, log: vscode.LogOutputChannel) {
  const tree = new SessionTree(workspace);
  const conversations = new Conversations(workspace);
  const warning = new UnsavedWarning();
  const outbox = new Outbox(outgoing(workspace), (unsaved, reason) => {
    warning.show(unsaved, reason);
    log.warn(reason === undefined ? 'everything is saved' : `${unsaved.length} messages are not saved: ${reason.message}`);
  });
  opened = { workspace, outbox };
  const retry = setInterval(() => outbox.unsaved.length > 0 && void outbox.save(), RETRY_MS);
  const command = (name: string, run: (item?: SessionItem) => Promise<unknown>) =>
    vscode.commands.registerCommand(name, (item?: SessionItem) => run(item).catch((error) => report(error, log)));

  const shown = [
    warning,
    new vscode.Disposable(() => clearInterval(retry)),
    vscode.window.registerTreeDataProvider('nofx.sessions', tree),
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
  ];
  context.subscriptions.push(...shown);
  void follow(workspace, tree, conversations)
    .catch((error) => report(error, log))
    .finally(() => shown.forEach((one) => one.dispose()));

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
