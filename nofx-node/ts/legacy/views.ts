import type { Bus, Host, Log, OldConfiguration } from './host';
import type { LegacyAgent, LegacyFilter, LegacyMessage, LegacyRestore, LegacySession, LegacySummary, LegacyTask } from './shapes';
import type { OrchestrationMessage } from './shapes';
import { UnifiedPersistenceService } from './unified';

const DAY = 24 * 60 * 60 * 1000;

/** An agent as it was in the old `agents.json`. */
export interface AgentEntry extends Omit<LegacyAgent, 'startTime'> {
  sessionFile: string;
  createdAt?: string;
}

/** An agent as the last version of the extension stored it. */
export interface StoredAgent {
  id: string;
  name: string;
  type: string;
  status: string;
  templateId?: string;
  tasksCompleted: number;
  createdAt: Date;
  lastActiveAt: Date;
  workingDirectory?: string;
}

/** A session in the list of the last version of the extension. */
export interface StoredSummary {
  id: string;
  agentId: string;
  agentName: string;
  createdAt: Date;
  tasksCompleted: number;
  lastActiveAt: Date;
}

/** The agents of a folder and their transcripts. It is created for each use and need not be disposed. */
export class AgentPersistence {
  readonly #service: UnifiedPersistenceService;

  constructor(folder: string, log?: Log) {
    this.#service = new UnifiedPersistenceService(folder, hostOf(log), true);
  }

  saveAgentState(agents: LegacyAgent[]): Promise<void> {
    return this.#service.saveAgentState(agents);
  }

  async loadAgentState(): Promise<AgentEntry[]> {
    const agents = await this.#service.loadAgentState();
    return agents.map(({ startTime, ...agent }) => ({
      ...agent,
      sessionFile: `${agent.id}_session.md`,
      ...(startTime && { createdAt: startTime.toISOString() }),
    }));
  }

  saveAgentSession(agentId: string, content: string, append = true): Promise<void> {
    return this.#service.saveAgentSession(agentId, content, append);
  }

  loadAgentSession(agentId: string): Promise<string | null> {
    return this.#service.loadAgentSession(agentId);
  }

  saveConversationCheckpoint(agentId: string, userMessage: string, agentResponse: string): Promise<void> {
    return this.#service.saveConversationCheckpoint(agentId, userMessage, agentResponse);
  }

  getAgentContextSummary(agentId: string): Promise<string> {
    return this.#service.getAgentContextSummary(agentId);
  }

  /** Archives the sessions that have been inactive for this many days. */
  async archiveOldSessions(days = 7): Promise<void> {
    await this.#service.cleanup({ archiveAfterMs: days * DAY });
  }

  archiveSessions(name: string): Promise<string> {
    return this.#service.archiveSessions(name);
  }

  exportSessionsAsMarkdown(): Promise<string> {
    return this.#service.exportSessionsAsMarkdown();
  }

  cleanup(): Promise<void> {
    return this.#service.clearAll();
  }

  clearAll(): Promise<void> {
    return this.#service.clearAll();
  }
}

/** The sessions of a folder. */
export class SessionPersistenceService {
  readonly #service: UnifiedPersistenceService;

  constructor(_context: unknown, log?: Log, bus?: Bus, folder?: string) {
    this.#service = new UnifiedPersistenceService(folder, hostOf(log, bus));
  }

  createSession(agent: LegacyAgent, workingDirectory?: string): Promise<LegacySession> {
    return this.#service.createAgentSession(agent, workingDirectory);
  }

  addMessage(sessionId: string, message: Omit<LegacyMessage, 'id' | 'timestamp'>): Promise<void> {
    return this.#service.addMessage(sessionId, message);
  }

  startTask(sessionId: string, task: Omit<LegacyTask, 'id' | 'assignedAt' | 'status'>): Promise<string> {
    return this.#service.startTask(sessionId, task);
  }

  completeTask(sessionId: string, taskId: string, success = true): Promise<void> {
    return this.#service.completeTask(sessionId, taskId, success);
  }

  getSessionSummaries(): Promise<LegacySummary[]> {
    return this.#service.getSessionSummaries();
  }

  archiveSession(sessionId: string): Promise<void> {
    return this.#service.archiveSession(sessionId);
  }

  restoreSession(sessionId: string, options: LegacyRestore): Promise<LegacySession> {
    return this.#service.restoreSession(sessionId, options);
  }

  /** Opens the store. Nothing needs to be loaded: sessions are read on demand. */
  async loadActiveSessions(): Promise<void> {
    await this.#service.getStorageStats();
  }

  getActiveSession(agentId: string): Promise<LegacySession | null> {
    return this.#service.getActiveSession(agentId);
  }

  updateSession(sessionId: string, changes: Partial<LegacySession>): Promise<void> {
    return this.#service.updateSession(sessionId, changes);
  }

  dispose(): Promise<void> {
    return this.#service.dispose();
  }
}

/** The messages between the agents of a folder. */
export class MessagePersistenceService {
  readonly #service: UnifiedPersistenceService;
  readonly #limit: () => number;

  constructor(log: Log | undefined, config: OldConfiguration, bus: Bus | undefined, folder?: string) {
    this.#service = new UnifiedPersistenceService(folder, hostOf(log, bus));
    this.#limit = () => config.getOrchestrationHistoryLimit();
  }

  save(message: OrchestrationMessage): Promise<void> {
    return this.#service.save(message);
  }

  load(offset = 0, limit = 100): Promise<OrchestrationMessage[]> {
    return this.#service.load(offset, limit);
  }

  getHistory(clientId?: string, messageType?: string): Promise<OrchestrationMessage[]>;
  getHistory(filter?: LegacyFilter): Promise<OrchestrationMessage[]>;
  getHistory(of?: string | LegacyFilter, messageType?: string): Promise<OrchestrationMessage[]> {
    const filter = typeof of === 'string' ? { clientId: of, ...(messageType && { type: messageType }) } : of;
    return this.#service.getHistory({ limit: this.#limit(), ...filter });
  }

  clear(): Promise<void> {
    return this.#service.clear();
  }

  getStats(): Promise<{ totalMessages: number; oldestMessage: Date }> {
    return this.#service.getStats();
  }

  dispose(): Promise<void> {
    return this.#service.dispose();
  }
}

/** The messages between agents if there is no folder. */
export class InMemoryMessagePersistenceService extends MessagePersistenceService {
  constructor(log: Log | undefined, config: OldConfiguration, bus: Bus | undefined) {
    super(log, config, bus);
  }
}

/** What the last version of the extension stored in the editor's own storage. */
export class PersistenceService {
  readonly #service: UnifiedPersistenceService;

  constructor(_context: unknown, log: Log | undefined, bus: Bus | undefined, folder?: string) {
    this.#service = new UnifiedPersistenceService(folder, hostOf(log, bus));
  }

  saveAgent(agent: LegacyAgent): Promise<void> {
    return this.#service.saveAgent(agent);
  }

  async loadAgents(): Promise<StoredAgent[]> {
    const agents = await this.#service.loadAgentState();
    return agents.map(({ id, name, type, status = 'idle', template, tasksCompleted = 0, startTime, workingDirectory }) => {
      const templateId = typeof template === 'object' ? (template as { id?: string }).id : template;
      const createdAt = startTime ?? new Date(0);
      return {
        id,
        name,
        type,
        status,
        ...(templateId !== undefined && { templateId }),
        tasksCompleted,
        createdAt,
        lastActiveAt: createdAt,
        ...(workingDirectory !== undefined && { workingDirectory }),
      };
    });
  }

  getAgents(): Promise<StoredAgent[]> {
    return this.loadAgents();
  }

  removeAgent(agentId: string): Promise<void> {
    return this.#service.removeAgent(agentId);
  }

  createSession(agent: LegacyAgent): Promise<LegacySession> {
    return this.#service.createAgentSession(agent);
  }

  addMessage(sessionId: string, message: Omit<LegacyMessage, 'id' | 'timestamp'>): Promise<void> {
    return this.#service.addMessage(sessionId, message);
  }

  startTask(sessionId: string, task: Omit<LegacyTask, 'id' | 'assignedAt' | 'status'>): Promise<string> {
    return this.#service.startTask(sessionId, task);
  }

  completeTask(sessionId: string, taskId: string, success = true): Promise<void> {
    return this.#service.completeTask(sessionId, taskId, success);
  }

  archiveSession(sessionId: string): Promise<void> {
    return this.#service.archiveSession(sessionId);
  }

  getActiveSessions(): Promise<LegacySession[]> {
    return this.#service.getActiveSessions();
  }

  /** Restores a whole session; returns whether it existed. */
  async restoreSession(sessionId: string): Promise<boolean> {
    return this.#service.restoreSession(sessionId).then(
      () => true,
      () => false,
    );
  }

  async getSessionSummaries(): Promise<StoredSummary[]> {
    const summaries = await this.#service.getSessionSummaries();
    return summaries.map(({ sessionId: id, agentId, agentName, createdAt, tasksCompleted, lastActiveAt }) => {
      return { id, agentId, agentName, createdAt, tasksCompleted, lastActiveAt };
    });
  }

  /** Returns the id of the most recently active session. */
  async getActiveSession(): Promise<string | undefined> {
    return (await this.#service.getSessionSummaries()).find(({ status }) => status === 'active')?.sessionId;
  }

  updateSession(sessionId: string, changes: Partial<LegacySession>): Promise<void> {
    return this.#service.updateSession(sessionId, changes);
  }

  clearAllData(): Promise<void> {
    return this.#service.clearAll();
  }

  /** Starts to remove everything; failures are logged. */
  clearAll(): void {
    this.#service.clearAll().catch(() => undefined);
  }

  getStorageStats(): Promise<{ agents: number; sessions: number; storageVersion: string }> {
    return this.#service.getStorageStats();
  }

  /** Saves agents. Others stay in the list, as they did with this class. */
  async saveAgentState(agents: LegacyAgent[]): Promise<void> {
    await Promise.all(agents.map((agent) => this.#service.saveAgent(agent)));
  }

  loadAgentState(): Promise<StoredAgent[]> {
    return this.loadAgents();
  }

  saveAgentSession(agentId: string, message: string): Promise<void> {
    return this.#service.saveAgentSession(agentId, message);
  }

  async getAgentContextSummary(agentId: string): Promise<string | undefined> {
    return (await this.#service.getAgentContextSummary(agentId)) || undefined;
  }

  dispose(): Promise<void> {
    return this.#service.dispose();
  }
}

function hostOf(log?: Log, bus?: Bus): Host {
  return { ...(log && { log }), ...(bus && { bus }) };
}
