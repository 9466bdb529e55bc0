import { realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ExpiryEvent, type MigrationReport, NofxError, open, UnavailableError, type Workspace } from '../index';
import { keepOldOrder } from './old-order';
import { Turns } from './turns';

/** An open store, and what was brought into it when it was opened. */
interface Opened {
  workspace: Workspace;
  report: MigrationReport | undefined;
}

/** Who uses a store until disposed of. @internal */
export interface User {
  /** Is told that the store cannot be written. */
  unavailable(error: NofxError): void;
  /** Is told that a session ends or has ended. */
  expiring(event: ExpiryEvent): void;
  /** Is told what the migration of the old folder did not do. */
  warn(message: string, data?: unknown): void;
}

/**
 * The store of a folder: opened at the first need, shared by all services of the process, closed with the last of them.
 *
 * @internal
 */
export class SharedStore {
  static readonly #ofFolders = new Map<string, SharedStore>();

  readonly turns = new Turns();
  readonly folder: string | undefined;
  readonly #users = new Set<User>();
  #opened: Promise<Opened> | undefined;
  /** Stops what goes on by itself: the migration and the watch for sessions that end. */
  #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #watching = false;
  #closing: Promise<void> = Promise.resolve();
  #reopening: Promise<void> | undefined;

  /** Returns the store of a folder; without one, a store of its own in memory. */
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

  /** Waits for the calls of a user that are under way, and closes the store if it was the last. */
  async leave(user: User, pending: Promise<unknown>[]): Promise<void> {
    const isLast = this.#users.delete(user) && this.#users.size === 0;
    if (isLast) {
      this.#stop.abort();
    }
    await Promise.allSettled(pending);
    // Another service may have been made while this one waited.
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

  /** Does something with the store, once more if it was removed or replaced below: a reset removes the whole folder. */
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
      const details = { message: `the store is only read: ${readOnly}`, nextStep: 'give yourself permission to write it' };
      this.#users.forEach((user) => user.unavailable(new UnavailableError({ code: 'unavailable', ...details })));
      return { workspace, report: undefined };
    }
    const report = await this.#migrate(workspace, old, this.#stop.signal);
    void this.#watch(workspace);
    return { workspace, report };
  }

  /** Brings in what old windows have written since the last time. What fails is told, and the store is used all the same. */
  async #migrate(workspace: Workspace, old: string, signal: AbortSignal): Promise<MigrationReport | undefined> {
    try {
      const report = await bringIn(workspace, old, signal);
      await keepOldOrder(workspace, old);
      if (!report.complete) {
        this.#users.forEach((user) => user.warn('Not everything of the old folder could be brought in', report.text));
      }
      return report;
    } catch (error) {
      this.#users.forEach((user) => user.warn('The old folder could not be brought in; the next start tries again', error));
      return undefined;
    }
  }

  /** Tells sessions that end to all services: the store tells the end of one only once. */
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
      this.#users.forEach((user) => user.warn('Sessions that end are no longer told', error));
    }
    this.#watching = false;
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened === undefined) {
      return;
    }
    // What services that are never disposed of have begun is part of it.
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
 * Brings in what is new. Only then is all of it compared with the store: that reads everything, and what was removed since would be
 * missed at each opening.
 */
async function bringIn(workspace: Workspace, old: string, signal: AbortSignal): Promise<MigrationReport> {
  const report = await workspace.migrate(old, { signal, verify: false });
  if (Object.values(report.added).every((count) => count === 0)) {
    return report;
  }
  const { complete, text } = await workspace.migrate(old, { signal });
  return { ...report, complete: report.complete && complete, text: `${report.text}\n${text}` };
}

/** Returns the one name of a folder, so that two ways to it are one store. */
function realPath(folder: string): string {
  try {
    return realpathSync.native(folder);
  } catch {
    return resolve(folder);
  }
}
