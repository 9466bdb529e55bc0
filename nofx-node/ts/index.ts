/**
 * The NofX store for Node: sessions and their messages, kept by a Rust addon.
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
export type * from './entities';
export * from './errors';
export type { ExpiryEvent, ExpiryOptions } from './expiry';
export { History, type HistoryOptions } from './history';
export type * from './migration';
export type * from './orchestration';
export type * from './search';
export type * from './tasks';
export type { Changes, EventType, WatchOptions, WorkspaceEvent } from './watch';
export { type LongOptions, open, type OpenOptions, type StoreInfo, Workspace } from './workspace';
export { type Appended, SessionWriter } from './writer';
