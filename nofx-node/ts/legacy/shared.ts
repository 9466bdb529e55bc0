import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ExpiryEvent, type MigrationReport, NofxError, open, UnavailableError, type Workspace } from '../index';
import { keepOldOrder } from './old-order';
import { Turns } from './turns';

/** An open store, and what was imported into it when it was opened. */
interface Opened {
  workspace: Workspace;
  report: MigrationReport | undefined;
}

/** A user of a store, until it is disposed. @internal */
export interface User {
  /** Called if the store cannot be written. */
  unavailable(error: NofxError): void;
  /** Called when a session is about to expire or has expired. */
  expiring(event: ExpiryEvent): void;
  /** Gets what the migration of the old folder did not do. */
  warn(message: string, data?: unknown): void;
}

/**
 * The store of a folder: opened on first use, shared by all services of the process, closed with the last of them.
 *
 * @internal
 */
export class SharedStore {
  static readonly #ofFolders = new Map<string, SharedStore>();

  readonly turns = new Turns();
  readonly folder: string | undefined;
  readonly #users = new Set<User>();
  #opened: Promise<Opened> | undefined;
  /** Stops the background work: the migration and the watch for expiring sessions. */
  #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #watching = false;
  #closing: Promise<void> = Promise.resolve();
  #reopening: Promise<void> | undefined;

  /** Returns the store of a folder; without a folder, a separate store in memory. */
  static of(folder: string | undefined): SharedStore {
    if (!folder) {
      return new SharedStore(undefined);
    }
    const place = realPath(folder);
    const store = SharedStore.#ofFolders.get(place) ?? new SharedStore(place);
    SharedStore.#ofFolders.set(place, store);
    return store;
  }

  private constructor(folder: string | undefined) {
    this.folder = folder;
  }

  enter(user: User): void {
    this.#users.add(user);
    this.#opened?.then(({ workspace }) => this.#watch(workspace)).catch(() => undefined);
  }

  /** Waits for the calls of a user that are in flight, and closes the store if it was the last user. */
  async leave(user: User, pending: Promise<unknown>[]): Promise<void> {
    const isLast = this.#users.delete(user) && this.#users.size === 0;
    if (isLast) {
      this.#stop.abort();
    }
    await Promise.allSettled(pending);
    // Another service may have been created while this one waited.
    if (isLast && this.#users.size === 0) {
      await this.#close();
    }
  }

  async workspace(): Promise<Workspace> {
    return (await this.#open()).workspace;
  }

  async report(): Promise<MigrationReport | undefined> {
    return (await this.#open()).report;
  }

  /** Does something with the store, and retries once if the store was removed or replaced: a reset removes the whole folder. */
  with<T>(call: (workspace: Workspace) => Promise<T>): Promise<T> {
    const running = this.#with(call);
    this.#running.add(running);
    const ended = () => this.#running.delete(running);
    running.then(ended, ended);
    return running;
  }

  async #with<T>(call: (workspace: Workspace) => Promise<T>): Promise<T> {
    const workspace = await this.workspace();
    try {
      return await call(workspace);
    } catch (error) {
      if (!(error instanceof NofxError) || (error.code !== 'gone' && error.code !== 'replaced')) {
        throw error;
      }
      this.#reopening ??= workspace.reopen().finally(() => (this.#reopening = undefined));
      await this.#reopening;
      return await call(workspace);
    }
  }

  #open(): Promise<Opened> {
    if (this.#opened === undefined) {
      const opening = this.#closing.then(() => this.#openNow());
      this.#opened = opening;
      opening.catch((error: unknown) => {
        // The next call tries again.
        this.#opened = undefined;
        if (error instanceof NofxError) {
          this.#users.forEach((user) => user.unavailable(error));
        }
      });
    }
    return this.#opened;
  }

  async #openNow(): Promise<Opened> {
    this.#stop = new AbortController();
    if (this.folder === undefined) {
      const workspace = await open('memory:');
      void this.#watch(workspace);
      return { workspace, report: undefined };
    }
    const old = join(this.folder, '.nofx');
    const workspace = await open(`redb:${join(old, 'store', 'nofx.redb')}`);
    const { readOnly } = workspace.info();
    if (readOnly !== null) {
      const details = { message: `the store is read-only: ${readOnly}`, nextStep: 'change its permissions so that you can write to it' };
      this.#users.forEach((user) => user.unavailable(new UnavailableError({ code: 'unavailable', ...details })));
      return { workspace, report: undefined };
    }
    const report = await this.#migrate(workspace, old, this.#stop.signal);
    void this.#watch(workspace);
    return { workspace, report };
  }

  /** Imports what old windows have written since the last time. Failures are reported, and the store is used all the same. */
  async #migrate(workspace: Workspace, old: string, signal: AbortSignal): Promise<MigrationReport | undefined> {
    try {
      const report = await bringIn(workspace, old, signal);
      await keepOldOrder(workspace, old);
      if (!report.complete) {
        this.#users.forEach((user) => user.warn('Part of the old folder could not be imported', report.text));
      }
      return report;
    } catch (error) {
      this.#users.forEach((user) => user.warn('The old folder could not be imported; the next start tries again', error));
      return undefined;
    }
  }

  /** Reports expiring sessions to all services: the store reports each expiry only once. */
  async #watch(workspace: Workspace): Promise<void> {
    if (this.#watching || this.#users.size === 0) {
      return;
    }
    this.#watching = true;
    if (this.#stop.signal.aborted) {
      this.#stop = new AbortController();
    }
    try {
      for await (const event of workspace.expiryWatch({ signal: this.#stop.signal })) {
        this.#users.forEach((user) => user.expiring(event));
      }
    } catch (error) {
      this.#users.forEach((user) => user.warn('Expiring sessions are no longer reported', error));
    }
    this.#watching = false;
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) {
      return;
    }
    // This includes what services that are never disposed have begun.
    const ended = Promise.allSettled([...this.#running]);
    const closing = opened.then(
      ({ workspace }) => ended.then(() => workspace.close()),
      () => undefined,
    );
    this.#closing = closing.catch(() => undefined);
    await closing;
  }
}

/**
 * Imports what is new. Everything is compared with the store only if something was new: a comparison reads everything, and would report
 * what was removed since as missing each time the store is opened.
 */
async function bringIn(workspace: Workspace, old: string, signal: AbortSignal): Promise<MigrationReport> {
  const report = await workspace.migrate(old, { signal, verify: false });
  if (Object.values(report.added).every((count) => count === 0)) {
    return report;
  }
  const { complete, text } = await workspace.migrate(old, { signal });
  return { ...report, complete: report.complete && complete, text: `${report.text}\n${text}` };
}

/** Returns the canonical path of a folder, so that two paths to it share one store. */
function realPath(folder: string): string {
  try {
    return realpathSync.native(folder);
  } catch {
    return resolve(folder);
  }
}
