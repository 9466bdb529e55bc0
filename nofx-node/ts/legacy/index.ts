/**
 * What lets an extension that used the four old services switch to the store in one change: one service with all that they did, and
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
 * Nothing here knows `vscode`: the host hands over what it has.
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
