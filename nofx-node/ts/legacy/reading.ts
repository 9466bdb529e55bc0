import { type Agent, CorruptError, type HistoryEntry, InvalidError, NofxError, type SessionFilter, type SessionSummary, type Workspace } from '../index';
import { type LegacySession, sessionOf } from './shapes';

/** The most messages per page. */
const PAGE = 1000;

/** Reads a session with its tasks and this many of its newest messages; all by default. @internal */
export async function whole(workspace: Workspace, id: string, newest = Number.POSITIVE_INFINITY): Promise<LegacySession> {
  const [summary, tasks, history] = await Promise.all([
    workspace.session(id),
    workspace.tasks(id),
    newest === Number.POSITIVE_INFINITY ? workspace.history(id).all() : some(workspace, id, true, newest),
  ]);
  if (summary === null) {
    throw missing(id);
  }
  return sessionOf(summary, newest === Number.POSITIVE_INFINITY ? history : history.reverse(), tasks);
}

/** Reads this many messages from one end of a session. @internal */
export async function some(workspace: Workspace, id: string, newestFirst: boolean, limit: number): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = [];
  if (limit > 0) {
    for await (const page of workspace.history(id, { newestFirst, pageSize: Math.min(limit, PAGE) }).pages()) {
      entries.push(...page.slice(0, limit - entries.length));
      if (entries.length >= limit) {
        break;
      }
    }
  }
  return entries;
}

/** Returns all sessions that match a filter, most recently active first. @internal */
export async function listed(workspace: Workspace, filter: SessionFilter = {}): Promise<SessionSummary[]> {
  return workspace.summaries(filter).all();
}

/** Returns all agents. Rejects if one cannot be read: a list without it would be saved and lose it. @internal */
export async function listedAgents(workspace: Workspace): Promise<Agent[]> {
  const agents = await workspace.agents().all();
  const unreadable = agents.find((agent) => agent.unreadable !== undefined);
  if (unreadable?.unreadable !== undefined) {
    const nextStep = 'restore a backup; the other agents stay readable';
    throw new CorruptError({ code: 'corrupt', message: unreadable.unreadable, nextStep });
  }
  return agents;
}

/** Does something with a session; if there is none, rejects as the old services did. @internal */
export async function found<T>(workspace: Workspace, id: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw isRefused(error) && (await workspace.session(id)) === null ? missing(id) : error;
  }
}

function missing(id: string): Error {
  return invalid(`Session ${id} not found`, 'check the id against what the store lists');
}

/** Creates the error for a call that can never succeed. @internal */
export function invalid(message: string, nextStep: string): InvalidError {
  return new InvalidError({ code: 'invalid', message, nextStep });
}

/** Whether a session exists and is neither archived nor in the trash. @internal */
export async function takesChanges(workspace: Workspace, id: string): Promise<boolean> {
  const summary = await workspace.session(id);
  return summary !== null && summary.state !== 'archived' && summary.state !== 'deleted';
}

/** Whether a call was refused as invalid, for example for an unknown session. @internal */
export function isRefused(error: unknown): boolean {
  return error instanceof NofxError && ['invalid', 'not-found'].includes(error.code);
}

/** Answers nothing for a call that was refused as invalid. @internal */
export function none(error: unknown): undefined {
  if (!isRefused(error)) {
    throw error;
  }
}

/** Returns what could be read, and reports the rest. @internal */
export function present<T>(results: PromiseSettledResult<T>[], tell: (error: unknown) => void): T[] {
  return results.flatMap((result) => {
    if (result.status === 'fulfilled') {
      return [result.value];
    }
    tell(result.reason);
    return [];
  });
}
