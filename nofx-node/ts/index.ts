/**
 * The NofX store for Node: sessions and their messages, stored by a Rust addon.
 *
 * ```ts
 * import { open } from 'nofx-node';
 *
 * const workspace = await open('redb:.nofx/store/nofx.redb');
 * const agent = { id: 'ada', name: 'Ada', type: 'backend-specialist' };
 * const session = await workspace.createSession({ agent });
 * await workspace.addMessage(session.id, { type: 'user', content: 'please sort the list' });
 *
 * for await (const { position, message } of workspace.history(session.id)) {
 *   console.log(position, message.content);
 * }
 * await workspace.close();
 * ```
 *
 * An acknowledged call is durable. Errors are subclasses of {@link NofxError} and say what to do next.
 *
 * @packageDocumentation
 */

export type * from './agents';
export type * from './cleanup';
export type * from './doctor';
export type * from './entities';
export * from './errors';
export type { ExpiryEvent, ExpiryOptions } from './expiry';
export type { HistoryOptions } from './history';
export type { LongOptions, Progress } from './long-calls';
export * from './maintenance';
export type * from './migration';
export type { OrchestrationFilter, OrchestrationMessage, OrchestrationStats } from './orchestration';
export { Listing } from './pages';
export type {
  CommittedRecords,
  Expectation,
  LogRange,
  OwnAppend,
  OwnEntry,
  OwnLog,
  OwnRecord,
  RecordBatch,
  RecordName,
  RecordScan,
} from './records';
export { Records } from './records';
export type * from './search';
export type * from './tasks';
export type { Changes, ChangesPage, EventType, WatchOptions, WorkspaceEvent } from './watch';
export { type BackupOptions, type InOperation, open, type OpenOptions, type StoreInfo, Workspace } from './workspace';
export { type Appended, SessionWriter } from './writer';
