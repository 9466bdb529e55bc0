import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CleanupPreview,
  ClosedError,
  type ExpiryEvent,
  NofxError,
  type PlannedSession,
  type RetentionPolicy,
  type Workspace,
} from '../index';
import { Calls, withinTime } from './calls';
import { type Host, Told } from './host';
import { found, invalid, isRefused, listed, listedAgents, none, present, some, takesChanges, whole } from './reading';
import {
  agentOf,
  agentToKeep,
  endOfList,
  goesOn,
  inOrder,
  inPlaceOf,
  type LegacyAgent,
  type LegacyFilter,
  type LegacyMessage,
  type LegacyRestore,
  type LegacySession,
  type LegacySummary,
  type LegacyTask,
  messageOf,
  type OrchestrationMessage,
  restoreOf,
  summaryOf,
} from './shapes';
import { SharedStore, type User } from './shared';

/** How many messages of each session {@link UnifiedPersistenceService.getActiveSessions} returns: as many as the old service stored. */
const NEWEST_MESSAGES = 1000;

/** How many messages between agents are read if the caller did not say. */
const HISTORY_LIMIT = 1000;

/** How long to wait for the host to name a git branch. */
const BRANCH_WAIT_MS = 1000;

/** The version that the old services would report for this storage. */
const STORAGE_VERSION = '3.0.0';

/** The old name of the event that messages between agents were removed, and its name in this store's change feed. */
const CLEANUPS = ['orchestration.message.storage.cleanup', 'storage.cleanup'];

/** Takes over everything of a session. */
const EVERYTHING: LegacyRestore = {
  restoreConversationHistory: true,
  restoreCurrentTask: true,
  restoreWorkingDirectory: true,
  continueFromLastMessage: true,
  summarizeHistory: false,
};

/** Everything that the extension stores, in one service. Calls take effect in the order in which they are made, awaited or not. */
export class UnifiedPersistenceService {
  readonly #store: SharedStore;
  readonly #told: Told;
  readonly #calls: Calls;

  /** `folder` is the editor's; without one, everything is in memory. Does not wait, and does not throw. */
  constructor(folder: string | undefined, host?: Host);
  /** With `lasting`, it is never disposed and does not keep a store from being closed. @internal */
  constructor(folder: string | undefined, host?: Host, lasting?: boolean);
  constructor(folder: string | undefined, host: Host = {}, lasting = false) {
    this.#told = new Told(host);
    this.#store = SharedStore.of(folder);
    const user: User = {
      unavailable: (error) => this.#told.unavailable(error),
      warn: (message, data) => this.#told.warn(message, data),
      expiring: (event) => void this.#expiring(event),
    };
    this.#calls = new Calls(this.#store, this.#told, user);
    if (!lasting) {
      this.#store.enter(user);
    }
  }

  /** The store underneath, for everything else. Rejects with the reason if it cannot be opened. */
  get workspace(): Promise<Workspace> {
    return this.#calls.isLate('workspace') ? Promise.reject(new ClosedError()) : this.#store.workspace();
  }

  /** Waits until `.nofx` has been imported; `undefined` if there is none. */
  async migrated(): Promise<{ complete: boolean; text: string } | undefined> {
    return this.#calls.isLate('migrated') ? undefined : this.#store.report();
  }

  /** Creates a session of an agent, without messages. */
  createAgentSession(agent: LegacyAgent, workingDirectory?: string): Promise<LegacySession> {
    const { id, name, type, template, capabilities } = agent;
    const folder = workingDirectory ?? agent.workingDirectory;
    return this.#calls.answer('createAgentSession', async (workspace) => {
      const gitBranch = await withinTime(this.#told.gitBranch(folder ?? this.#store.folder), BRANCH_WAIT_MS);
      const session = await workspace.createSession({
        agent: { id, name, type, ...(typeof template === 'object' && { template }) },
        ...(folder !== undefined && { workingDirectory: folder }),
        ...(gitBranch !== undefined && { gitBranch }),
        ...(capabilities && { capabilities }),
      });
      const created = await whole(workspace, session.id, 0);
      this.#told.publish('session.created', { sessionId: session.id, agentId: id, agentName: name });
      return created;
    });
  }

  /** Archives a session. An unknown session is not an error. */
  archiveSession(sessionId: string): Promise<void> {
    return this.#quietly('archiveSession', sessionId, async (workspace) => {
      const { agentName } = await workspace.archiveSession(sessionId);
      this.#told.publish('session.archived', { sessionId, agentName });
    });
  }

  /** Returns the active sessions, most recently active first, each with its newest thousand messages. */
  getActiveSessions(): Promise<LegacySession[]> {
    return this.#calls.read('getActiveSessions', [], async (workspace) => {
      const active = (await listed(workspace)).filter(({ state }) => goesOn(state));
      const sessions = active.map(({ session }) => whole(workspace, session.id, NEWEST_MESSAGES));
      return present(await Promise.allSettled(sessions), (error) => this.#told.warn('A session cannot be read', error));
    });
  }

  /** Returns the messages of a session, oldest first by default; none for an unknown session. */
  getSessionHistory(sessionId: string, options: { newestFirst?: boolean; limit?: number } = {}): Promise<LegacyMessage[]> {
    return this.#calls.read('getSessionHistory', [], async (workspace) => {
      if ((await workspace.session(sessionId)) === null) {
        return [];
      }
      const { newestFirst = false, limit = Number.POSITIVE_INFINITY } = options;
      return (await some(workspace, sessionId, newestFirst, limit)).map(messageOf);
    });
  }

  /** Does what a policy says, or without one the default cleanup, and returns what it did. */
  cleanup(policy: RetentionPolicy = {}): Promise<CleanupPreview> {
    const nothing: CleanupPreview = { archive: [], delete: [], purge: [], orchestrationMessages: 0 };
    return this.#calls.change('cleanup', nothing, (workspace) => this.#cleanup(workspace, policy));
  }

  /** Adds a message to a session. An unknown or archived session is logged, and nothing is added. */
  addMessage(sessionId: string, message: Omit<LegacyMessage, 'id' | 'timestamp'>): Promise<void> {
    const added = { timestamp: new Date().toISOString(), ...message };
    return this.#quietly('addMessage', sessionId, async (workspace) => {
      await workspace.addMessage(sessionId, added);
      this.#told.publish('session.message.added', { sessionId, messageType: added.type });
    });
  }

  /** Starts a task and returns its id. Rejects for an unknown session. */
  startTask(sessionId: string, task: Omit<LegacyTask, 'id' | 'assignedAt' | 'status'>): Promise<string> {
    return this.#calls.answer('startTask', (workspace) =>
      found(workspace, sessionId, async () => {
        const { title, description, priority, tags } = task;
        const started = await workspace.startTask(sessionId, { title, description, priority, tags });
        const taskId = started.task.id;
        this.#told.publish('session.task.started', { sessionId, taskId, taskTitle: title });
        return taskId;
      }),
    );
  }

  /** Ends a task. It is not an error if the task is not current. */
  completeTask(sessionId: string, taskId: string, success = true): Promise<void> {
    return this.#calls.change('completeTask', undefined, async (workspace) => {
      const end = success ? workspace.completeTask(sessionId, taskId) : workspace.failTask(sessionId, taskId);
      const ended = await end.catch(none);
      if (ended === undefined) {
        this.#told.debug(`Task ${taskId} is not the current task of session ${sessionId}`);
        return;
      }
      this.#told.publish('session.task.completed', { sessionId, taskId, success, duration: ended.duration });
    });
  }

  /** Creates a new session that continues from another one. Rejects for an unknown session. */
  restoreSession(sessionId: string, options: LegacyRestore = EVERYTHING): Promise<LegacySession> {
    return this.#calls.answer('restoreSession', (workspace) =>
      found(workspace, sessionId, () => this.#restore(workspace, sessionId, options)),
    );
  }

  /** Restores several sessions; returns the result of each, in their order. */
  restoreSessions(sessionIds: string[], options: LegacyRestore = EVERYTHING): Promise<(LegacySession | NofxError)[]> {
    return this.#calls.change('restoreSessions', [], async (workspace) => {
      const restored: (LegacySession | NofxError)[] = [];
      for (const { ok, error } of await workspace.restoreSessions(sessionIds, restoreOf(options))) {
        restored.push(ok === undefined ? error : await whole(workspace, ok.id));
        if (ok !== undefined) {
          this.#restored(sessionIds[restored.length - 1], ok.id, ok.agentName);
        }
      }
      return restored;
    });
  }

  /** Moves a session to the trash. An unknown session is not an error. */
  deleteSession(sessionId: string): Promise<void> {
    return this.#quietly('deleteSession', sessionId, async (workspace) => {
      await workspace.deleteSession(sessionId);
    });
  }

  /** Returns a session as text. Rejects for an unknown session. */
  exportSession(sessionId: string, as: 'json' | 'markdown' | 'html'): Promise<string> {
    return this.#calls.ask('exportSession', (workspace) =>
      found(workspace, sessionId, () => {
        switch (as) {
          case 'json':
            return workspace.exportJson(sessionId);
          case 'markdown':
            return workspace.exportMarkdown(sessionId);
          case 'html':
            return workspace.exportHtml(sessionId);
        }
      }),
    );
  }

  /** Changes details of a session. An unknown session is not an error. */
  updateSession(
    sessionId: string,
    { name, gitBranch, workingDirectory }: { name?: string; gitBranch?: string; workingDirectory?: string },
  ): Promise<void> {
    return this.#quietly('updateSession', sessionId, async (workspace) => {
      const changes = {
        ...(name !== undefined && { name }),
        ...(gitBranch !== undefined && { gitBranch }),
        ...(workingDirectory !== undefined && { workingDirectory }),
      };
      await workspace.updateSession(sessionId, changes);
    });
  }

  /** Returns all sessions that are not in the trash, most recently active first. */
  getSessionSummaries(): Promise<LegacySummary[]> {
    return this.#calls.read('getSessionSummaries', [], async (workspace) => {
      const summaries = (await listed(workspace)).map(async (summary) =>
        summaryOf(summary, await workspace.tasks(summary.session.id)),
      );
      return present(await Promise.allSettled(summaries), (error) => this.#told.warn('A session cannot be listed', error));
    });
  }

  /** Returns the active session of an agent, with all its messages; if there are several, the most recently active one. */
  getActiveSession(agentId: string): Promise<LegacySession | null> {
    return this.#calls.read('getActiveSession', null, async (workspace) => {
      const newest = (await listed(workspace, { agent: agentId })).find(({ state }) => goesOn(state));
      return newest === undefined ? null : whole(workspace, newest.session.id);
    });
  }

  /** Replaces the list of agents with these, all or nothing. */
  async saveAgentState(agents: LegacyAgent[]): Promise<void> {
    // Copied now: the extension keeps changing its objects. If an agent is there twice, the later one is saved.
    const kept = new Map(agents.map((agent, at) => [agent.id, agentToKeep(agent, at)]));
    const list = asItIs([...kept.values()]);
    await this.#calls.changeAgents('saveAgentState', (workspace) => workspace.replaceAgents(list));
  }

  /**
   * Returns the agents in the order in which they were saved. Rejects if they cannot be read: the extension would save an empty list and
   * lose them.
   */
  loadAgentState(): Promise<LegacyAgent[]> {
    return this.#calls.readSurely('loadAgentState', [], async (workspace) =>
      inOrder(await listedAgents(workspace)).map(agentOf),
    );
  }

  /** Saves an agent: at its place in the list, or at the end. */
  async saveAgent(agent: LegacyAgent): Promise<void> {
    const kept = asItIs(agentToKeep(agent, endOfList()));
    await this.#calls.changeAgents('saveAgent', async (workspace) => {
      await workspace.saveAgent(inPlaceOf(await workspace.agent(kept.id), kept));
    });
  }

  /** Removes an agent from the list; its sessions stay. */
  removeAgent(agentId: string): Promise<void> {
    return this.#calls.changeAgents('removeAgent', async (workspace) => void (await workspace.removeAgent(agentId)));
  }

  /** Appends to an agent's transcript, or without `append` starts it over. */
  saveAgentSession(agentId: string, content: string, append = true): Promise<void> {
    return this.#calls.change('saveAgentSession', undefined, (workspace) =>
      append ? workspace.appendTranscript(agentId, content) : workspace.beginTranscript(agentId, content),
    );
  }

  /** Returns an agent's transcript; `null` if there is none. */
  loadAgentSession(agentId: string): Promise<string | null> {
    return this.#calls.read('loadAgentSession', null, (workspace) => workspace.transcript(agentId));
  }

  /** Saves an exchange with an agent. */
  saveConversationCheckpoint(agentId: string, userMessage: string, agentResponse: string): Promise<void> {
    return this.#calls.change('saveConversationCheckpoint', undefined, async (workspace) => {
      await workspace.saveCheckpoint(agentId, userMessage, agentResponse);
    });
  }

  /** Returns what to tell a restored agent; `''` if there is nothing. */
  getAgentContextSummary(agentId: string): Promise<string> {
    return this.#calls.read('getAgentContextSummary', '', async (workspace) => (await workspace.contextSummary(agentId)) ?? '');
  }

  /** Writes all agents with their transcripts to `.nofx/export_<ms>.md`, and returns its path. */
  exportSessionsAsMarkdown(): Promise<string> {
    return this.#calls.ask('exportSessionsAsMarkdown', async (workspace) => {
      const folder = this.#nofxFolder('exported to');
      const path = join(folder, `export_${Date.now()}.md`);
      const text = await workspace.exportAgentsMarkdown();
      await mkdir(folder, { recursive: true });
      await writeFile(path, text);
      return path;
    });
  }

  /** Copies the store to `.nofx/archives/<name>/store/`, and returns the path of the copy. Adds a number if the name is taken. */
  archiveSessions(name: string): Promise<string> {
    return this.#calls.ask('archiveSessions', async (workspace) => {
      if (!/^[\p{L}\p{N}_-][\p{L}\p{N}_ .-]*$/u.test(name)) {
        throw invalid(`\`${name}\` is not a valid archive name`, 'use letters, digits and hyphens');
      }
      const archives = join(this.#nofxFolder('archived in'), 'archives');
      const place = join(archives, await freeName(archives, name), 'store');
      await workspace.backup(`redb:${join(place, 'nofx.redb')}`);
      return place;
    });
  }

  /** Saves a message between agents. */
  save(message: OrchestrationMessage): Promise<void> {
    const kept = { ...message };
    return this.#calls.change('save', undefined, async (workspace) => {
      await workspace.saveOrchestration(kept);
      const { id: messageId, type: messageType, timestamp } = kept;
      this.#told.publish('orchestration.message.persisted', { messageId, messageType, timestamp });
    });
  }

  /** Returns messages between agents, newest first. */
  load(offset = 0, limit = 100): Promise<OrchestrationMessage[]> {
    return this.getHistory({ offset, limit });
  }

  /** Returns the messages between agents that match a filter, newest first. */
  getHistory(clientId?: string, messageType?: string): Promise<OrchestrationMessage[]>;
  getHistory(filter?: LegacyFilter): Promise<OrchestrationMessage[]>;
  getHistory(of: string | LegacyFilter = {}, messageType?: string): Promise<OrchestrationMessage[]> {
    const filter: LegacyFilter = typeof of === 'string' ? { clientId: of, ...(messageType && { type: messageType }) } : of;
    const { clientId, type, timeRange, offset = 0, limit = HISTORY_LIMIT } = filter;
    return this.#calls.read('getHistory', [], async (workspace) => {
      const found = workspace.orchestrationHistory({
        ...(clientId && { participant: clientId }),
        ...(type && { type }),
        // A bound of zero means none, as before. The old upper bound is inclusive, the store's is not.
        ...(timeRange?.from?.getTime() && { since: timeRange.from.toISOString() }),
        ...(timeRange?.to?.getTime() && { until: new Date(timeRange.to.getTime() + 1).toISOString() }),
        offset,
        limit,
      });
      return (await found.all()) as OrchestrationMessage[];
    });
  }

  /** Removes all messages between agents permanently. */
  clear(): Promise<void> {
    return this.#calls.changeAll('clear', async (workspace) => {
      const { messages, segments } = await workspace.orchestrationStats();
      await workspace.clearOrchestration();
      this.#cleaned(messages, segments);
    });
  }

  /** Returns how many messages between agents there are, and the time of the oldest, or the current time if there are none. */
  getStats(): Promise<{ totalMessages: number; oldestMessage: Date }> {
    return this.#calls.read('getStats', { totalMessages: 0, oldestMessage: new Date() }, async (workspace) => {
      const { messages, oldest } = await workspace.orchestrationStats();
      return { totalMessages: messages, oldestMessage: oldest === null ? new Date() : new Date(oldest) };
    });
  }

  /** Returns how much is stored. */
  getStorageStats(): Promise<{ agents: number; sessions: number; storageVersion: string }> {
    const unknown = { agents: 0, sessions: 0, storageVersion: 'error' };
    return this.#calls.read('getStorageStats', unknown, async (workspace) => {
      const { agents, sessions } = await workspace.stats();
      return { agents, sessions, storageVersion: STORAGE_VERSION };
    });
  }

  /** Removes everything permanently, including transcripts and checkpoints. The services can still be used. */
  clearAll(): Promise<void> {
    return this.#calls.changeAll('clearAll', async (workspace) => {
      const { messages, segments } = await workspace.orchestrationStats();
      const { left } = await workspace.clearAll();
      if (left[0] !== undefined) {
        throw left[0];
      }
      this.#told.info('Everything in the store was removed');
      this.#cleaned(messages, segments);
    });
  }

  /**
   * Waits for the calls in flight, at most three seconds, and closes the store with its last user. Calling it again is not an error. Later
   * calls are logged and do nothing; those that cannot answer without the store reject.
   */
  dispose(): Promise<void> {
    return this.#calls.dispose();
  }

  async #cleanup(workspace: Workspace, policy: RetentionPolicy): Promise<CleanupPreview> {
    const plan = await workspace.cleanupPreview(policy);
    const { left, orchestrationMessages } = await workspace.cleanup(policy);
    left.forEach(({ session, message }) => this.#told.warn(`Session ${session} was left unchanged`, message));
    const stayed = new Set(left.map(({ session }) => session));
    const done = (planned: PlannedSession[]) => planned.filter(({ session }) => !stayed.has(session.id));
    if (orchestrationMessages > 0) {
      this.#cleaned(orchestrationMessages, 0);
    }
    return { archive: done(plan.archive), delete: done(plan.delete), purge: done(plan.purge), orchestrationMessages };
  }

  #cleaned(messagesCleared: number, filesRemoved: number): void {
    CLEANUPS.forEach((event) => this.#told.publish(event, { filesRemoved, messagesCleared }));
  }

  async #restore(workspace: Workspace, sessionId: string, options: LegacyRestore): Promise<LegacySession> {
    const { id, agentName } = await workspace.restoreSession(sessionId, restoreOf(options));
    const restored = await whole(workspace, id);
    this.#restored(sessionId, id, agentName);
    return restored;
  }

  #restored(originalSessionId: string | undefined, newSessionId: string, agentName: string | undefined): void {
    this.#told.publish('session.restored', { originalSessionId, newSessionId, agentName });
  }

  /** Reports that a session is about to expire or has expired, asks what to do with it, and does that. */
  async #expiring({ type, session }: ExpiryEvent): Promise<void> {
    const { id: sessionId, agentName } = session;
    if (type !== 'session.expired') {
      const expiresAt = session.expiresAt === undefined ? undefined : new Date(session.expiresAt);
      this.#told.publish(type, { sessionId, agentName, expiresAt });
      return;
    }
    this.#told.publish(type, { sessionId, agentName });
    if (!this.#told.asks) {
      return;
    }
    try {
      const choice = await this.#told.expired(await this.#store.with((workspace) => whole(workspace, sessionId)));
      if (choice === 'restore') {
        await this.restoreSession(sessionId);
      } else if (choice === 'archive') {
        await this.archiveSession(sessionId);
      }
    } catch (error) {
      this.#told.error(`Session ${sessionId} has expired, but the chosen action failed`, error);
    }
  }

  #nofxFolder(what: string): string {
    if (this.#store.folder === undefined) {
      throw invalid(`no folder is open that could be ${what}`, 'open a folder first');
    }
    return join(this.#store.folder, '.nofx');
  }

  /** Changes a session that may be unknown or archived, which is only logged. */
  #quietly(verb: string, sessionId: string, call: (workspace: Workspace) => Promise<void>): Promise<void> {
    return this.#calls.change(verb, undefined, async (workspace) => {
      try {
        await call(workspace);
      } catch (error) {
        if (!isRefused(error) || (await takesChanges(workspace, sessionId))) {
          throw error;
        }
        this.#told.warn(`Session ${sessionId} not found for ${verb}`, error);
      }
    });
  }
}

/** Copies an agent or several, as they are now. */
function asItIs<T>(agents: T): T {
  try {
    return JSON.parse(JSON.stringify(agents)) as T;
  } catch (error) {
    const reason = String(error instanceof Error ? error.message : error).split('\n')[0];
    throw invalid(`an agent cannot be written as JSON: ${reason}`, 'save only what JSON can hold');
  }
}

async function freeName(folder: string, name: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? name : `${name}-${number}`;
    const taken = await stat(join(folder, free)).then(
      () => true,
      () => false,
    );
    if (!taken) {
      return free;
    }
  }
}

