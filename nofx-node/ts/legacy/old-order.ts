import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workspace } from '../index';
import { hasPlace, placedLast } from './shapes';

/** Gives imported agents the order that they had in the old list. @internal */
export async function keepOldOrder(workspace: Workspace, old: string): Promise<void> {
  const agents = await workspace.agents().all();
  const unplaced = new Set(agents.filter((agent) => agent.unreadable === undefined && !hasPlace(agent)).map(({ id }) => id));
  if (unplaced.size === 0) {
    return;
  }
  for (const id of await oldList(old)) {
    if (unplaced.delete(id)) {
      await workspace.updateAgent(id, placedLast());
    }
  }
}

/** Returns the ids of the old list, as far as it can be read: the migration has reported what is wrong with it. */
async function oldList(old: string): Promise<string[]> {
  try {
    const { agents } = JSON.parse(await readFile(join(old, 'agents.json'), 'utf8')) as { agents: { id: unknown }[] };
    return agents.flatMap((agent) => (typeof agent?.id === 'string' ? [agent.id] : []));
  } catch {
    return [];
  }
}
