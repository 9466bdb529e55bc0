/**
 * Lets an extension that used the four old services switch to the store in one change: one service with everything that they did, and
 * the old classes as views of it.
 *
 * ```ts
 * import { UnifiedPersistenceService } from 'nofx-node/legacy';
 *
 * const persistence = new UnifiedPersistenceService(folder, { log, bus });
 * const session = await persistence.createAgentSession(agent);
 * await persistence.addMessage(session.id, { type: 'user', content: 'please sort the list' });
 * await persistence.dispose();
 * ```
 *
 * Nothing here depends on `vscode`: the host passes in what it has.
 *
 * @packageDocumentation
 */

export type { Bus, Host, Log, OldConfiguration } from './host';
export type {
  LegacyAgent,
  LegacyFilter,
  LegacyMessage,
  LegacyRestore,
  LegacySession,
  LegacySummary,
  LegacyTask,
  OrchestrationMessage,
} from './shapes';
export { UnifiedPersistenceService } from './unified';
export {
  type AgentEntry,
  AgentPersistence,
  InMemoryMessagePersistenceService,
  MessagePersistenceService,
  PersistenceService,
  SessionPersistenceService,
  type StoredAgent,
  type StoredSummary,
} from './views';
