import type { ExpiryEvent, Session } from 'nofx-node';
import * as vscode from 'vscode';
import { type Desk, report } from './desk';

/** Sessions that expire within this time of one another are reported together. */
const TOGETHER_MS = 500;

/** Reports which conversations expire soon or have expired, until the store is closed. */
export async function tellExpiry(desk: Desk): Promise<void> {
  let waiting: ExpiryEvent[] = [];
  const tell = () => {
    const told = waiting;
    waiting = [];
    for (const { session } of told.filter(({ type }) => type === 'session.expiry.warning')) {
      void tellWarning(desk, session).catch((error: unknown) => report(error, desk.log));
    }
    const ended = told.filter(({ type }) => type === 'session.expired').map(({ session }) => session);
    void tellEnd(desk, ended).catch((error: unknown) => report(error, desk.log));
  };
  for await (const event of desk.workspace.expiryWatch()) {
    if (waiting.push(event) === 1) {
      setTimeout(tell, TOGETHER_MS);
    }
  }
}

async function tellWarning({ workspace }: Desk, session: Session): Promise<void> {
  const [keep, archive] = ['Keep Open', 'Archive'];
  const at = new Date(session.expiresAt ?? '').toLocaleTimeString([], { timeStyle: 'short' });
  const answer = await vscode.window.showWarningMessage(`“${session.name}” expires at ${at}.`, keep, archive);
  if (answer !== undefined) {
    await (answer === keep ? workspace.resumeSession(session.id) : workspace.archiveSession(session.id));
  }
}

async function tellEnd({ workspace }: Desk, sessions: Session[]): Promise<void> {
  const [first, ...others] = sessions;
  if (first === undefined) {
    return;
  }
  const [archive, restore] = ['Archive', 'Restore'];
  const told = others.length === 0 ? `“${first.name}” has expired.` : `${sessions.length} conversations have expired.`;
  const answer = await vscode.window.showInformationMessage(told, restore, archive);
  const chosen = answer === restore && others.length > 0 ? await choose(sessions) : sessions;
  const ids = chosen.map(({ id }) => id);
  if (answer !== undefined) {
    const results = await (answer === restore ? workspace.restoreSessions(ids) : workspace.archiveSessions(ids));
    const failed = results.find(({ error }) => error !== undefined)?.error;
    if (failed !== undefined) {
      throw failed;
    }
  }
}

async function choose(sessions: Session[]): Promise<Session[]> {
  const choices = sessions.map((session) => ({ label: session.name || session.id, description: session.agentName ?? '', session }));
  const options = { title: 'Restore Conversations', placeHolder: 'Which ones?', canPickMany: true as const };
  return ((await vscode.window.showQuickPick(choices, options)) ?? []).map(({ session }) => session);
}
