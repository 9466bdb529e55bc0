import type { Workspace } from '../index';

/**
 * Removes everything for good. What the old folder was brought in with stays known, so that it is not brought in again.
 *
 * Repeating it goes on where one that was interrupted stopped.
 *
 * @internal
 */
export async function clearAll(workspace: Workspace): Promise<void> {
  const failed: unknown[] = [];
  await eachPage(workspace, false, async (ids) => note(failed, await workspace.deleteSessions(ids)));
  // Also sweeps long contents that no message names any more.
  await workspace.cleanup({ purgeAfterMs: 0 });
  await eachPage(workspace, true, async (ids) => note(failed, await workspace.purgeSessions(ids)));
  await workspace.replaceAgents([]);
  await workspace.clearTranscripts();
  await workspace.clearCheckpoints();
  await workspace.clearOrchestration();
  for await (const { id } of workspace.templates()) {
    if (id !== undefined) {
      await workspace.removeTemplate(id);
    }
  }
  if (failed.length > 0) {
    throw failed[0];
  }
}

/** Gives the sessions of the list or the trash, page by page, to what takes them out of it. */
async function eachPage(workspace: Workspace, trash: boolean, take: (ids: string[]) => Promise<void>): Promise<void> {
  let after: string | null = null;
  do {
    const page = await workspace.summaryPage({ trash, after, limit: 256 });
    const unreadable = page.unreadable.flatMap(({ session }) => session ?? []);
    const ids = [...page.items.map(({ session }) => session.id), ...unreadable];
    if (ids.length > 0) {
      await take(ids);
    }
    after = page.next;
  } while (after !== null);
}

function note(failed: unknown[], results: { error?: unknown }[]): void {
  failed.push(...results.flatMap(({ error }) => (error === undefined ? [] : [error])));
}
