import type { Handle } from './addon';
import * as addon from './addon';
import type { CleanupPreview, RetentionPolicy } from './cleanup';
import type {
  Agent,
  NewMessage,
  NewSession,
  RestoreOptions,
  Session,
  SessionFilter,
  SessionSummary,
  SummaryPage,
} from './entities';
import { ClosedError, errorOf } from './errors';
import { Gate } from './gate';
import { History, type HistoryOptions, type HistoryPage } from './history';
import { Joining } from './joining';
import type { MigrateOptions, MigrationProgress, MigrationReport } from './migration';
import { Order } from './order';
import type { SearchQuery, SearchResult } from './search';
import type { NewTask, StartedTask, Task, Tasks } from './tasks';
import { type Changes, type ChangesPage, type WatchOptions, watch } from './watch';
import { SessionWriter } from './writer';
import { invalid, written } from './written';

/** How many calls may be inside the addon at once; the others wait here. */
const CALLS_AT_ONCE = 256;

/** How long {@link Workspace.close} takes at most: an editor kills an extension that takes five seconds. */
const CLOSE_WAIT_MS = 3000;

/** How often the progress of a migration is told. */
const PROGRESS_MS = 100;

/** How to open a store. */
export interface OpenOptions {
  /** Nothing is ever written, and the store must exist. */
  readOnly?: boolean;
  /** Whether a store that does not exist is made, with the folders above it. It is, unless it is only read. */
  create?: boolean;
}

/** What a store is. */
export interface StoreInfo {
  /** The backend, as in the scheme of a location. */
  backend: string;
  /** The id of the store, made when it was created. */
  store: string;
  /** Why nothing can be written, if so. */
  readOnly: string | null;
}

/**
 * Opens the store at a location:
 *
 * - `redb:PATH`, a file;
 * - `fs:PATH`, a folder of files that people can read;
 * - `s3://BUCKET/PREFIX`, `gs://…`, `az://…` or `file:///PATH`, object storage;
 * - `memory:`, gone with the process.
 *
 * Which of them an addon has was chosen when it was built: the error of one that was left out names the cargo feature.
 * Several windows and programs may have one store open, and each sees what the others have written.
 */
export async function open(location: string, options: OpenOptions = {}): Promise<Workspace> {
  try {
    return new Workspace(await addon.open(location, JSON.stringify(options)));
  } catch (rejection) {
    throw errorOf(rejection);
  }
}

/**
 * An open store, and everything that people do with it. Calls may be made at any time and in any number.
 *
 * Calls that change one session or one agent happen in the order in which they are made, awaited or not, and calls that read it see
 * those made before. Calls that add messages to one session share commits while they wait. One call's error is its own: later ones go on.
 */
export class Workspace {
  readonly #handle: Handle;
  readonly #gate = new Gate(CALLS_AT_ONCE);
  readonly #order = new Order();
  readonly #joining = new Joining(this.#order, (session, messages) =>
    this.#enter(async () => JSON.parse(await this.#handle.ask('addMessages', `{"session":${JSON.stringify(session)},"messages":${messages}}`)) as number),
  );
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** Returns what the store is. Costs no I/O. */
  info(): StoreInfo {
    return JSON.parse(this.#handle.info()) as StoreInfo;
  }

  /** Creates a session of an agent. It begins active and expires after five hours unless it is told otherwise. */
  createSession(session: NewSession): Promise<Session> {
    return this.#ask('createSession', session);
  }

  /** Returns a session, also one in the trash; `null` if there is none. */
  session(id: string): Promise<SessionSummary | null> {
    return this.#read('session', { session: id });
  }

  /** Returns a page of sessions, newest activity first; the next one begins at `next`. */
  summaryPage(filter: SessionFilter & { after?: string | null; limit?: number } = {}): Promise<SummaryPage> {
    return this.#ask('sessionSummaries', filter);
  }

  /** Returns all sessions that a filter lets through, newest activity first, read a page at a time as they are asked for. */
  async *summaries(filter: SessionFilter = {}): AsyncGenerator<SessionSummary, void, void> {
    let after: string | null = null;
    do {
      const page: SummaryPage = await this.summaryPage({ ...filter, after });
      yield* page.items;
      after = page.next;
    } while (after !== null);
  }

  /** Lets a session rest. */
  pauseSession(id: string): Promise<Session> {
    return this.#change('pauseSession', { session: id });
  }

  /** Lets a session go on that rests or has expired; it then lasts as long as a new one. */
  resumeSession(id: string): Promise<Session> {
    return this.#change('resumeSession', { session: id });
  }

  /** Changes the name of a session. */
  renameSession(id: string, name: string): Promise<Session> {
    return this.#change('renameSession', { session: id, name });
  }

  /** Puts a session away for good: it takes no messages any more. {@link Workspace.restoreSession} continues it in a new one. */
  archiveSession(id: string): Promise<Session> {
    return this.#change('archiveSession', { session: id });
  }

  /** Makes a new session that begins with the messages of another one, which stays as it is. Nothing is copied. */
  restoreSession(id: string, options: RestoreOptions = {}): Promise<Session> {
    return this.#change('restoreSession', { session: id, options });
  }

  /** Puts a session into the trash, from which {@link Workspace.undeleteSession} takes it out again. */
  deleteSession(id: string): Promise<Session> {
    return this.#change('deleteSession', { session: id });
  }

  /** Takes a session out of the trash as it was. */
  undeleteSession(id: string): Promise<Session> {
    return this.#change('undeleteSession', { session: id });
  }

  /** Removes a session in the trash for good. */
  async purgeSession(id: string): Promise<void> {
    await this.#change('purgeSession', { session: id });
  }

  /** Adds a message to a session, whatever others added meanwhile, and returns its position once it is durable. */
  addMessage(session: string, message: NewMessage): Promise<number> {
    return this.addMessages(session, [message]);
  }

  /** Adds messages to a session, all or none, and returns the position of the first one once they are durable. */
  addMessages(session: string, messages: NewMessage[]): Promise<number> {
    return this.#open(() => this.#joining.add(session, ofSession(session), messages));
  }

  /** Returns a writer that has seen everything that a session has now. */
  async sessionWriter(session: string): Promise<SessionWriter> {
    const summary = await this.session(session);
    if (summary === null) {
      throw invalid(`there is no session \`${session}\``);
    }
    return new SessionWriter((seen, messages) => this.#change('appendAt', { session, seen, messages }), summary.messages);
  }

  /** Returns the messages of a session, read as they are asked for. */
  history(session: string, options: HistoryOptions = {}): History {
    const read = ({ pageSize, ...rest }: HistoryOptions) =>
      this.#read<HistoryPage>('history', { session, limit: pageSize, ...rest });
    return new History(read, options);
  }

  /** Returns the tasks of a session. */
  tasks(session: string): Promise<Tasks> {
    return this.#read('tasks', { session });
  }

  /** Begins a task. One that is being worked on is interrupted, and said to be. */
  startTask(session: string, task: NewTask | string): Promise<StartedTask> {
    return this.#change('startTask', { session, task: typeof task === 'string' ? { title: task } : task });
  }

  /** Ends the task that is being worked on, as done. It must be this one. */
  completeTask(session: string, task: string): Promise<Task> {
    return this.#change('completeTask', { session, task });
  }

  /** Ends the task that is being worked on, as given up with an error. It must be this one. */
  failTask(session: string, task: string): Promise<Task> {
    return this.#change('failTask', { session, task });
  }

  /** Puts aside the task that is being worked on. It must be this one. */
  interruptTask(session: string, task: string): Promise<Task> {
    return this.#change('interruptTask', { session, task });
  }

  /** Saves an agent, new or changed, as it is given. */
  async saveAgent(agent: Agent): Promise<void> {
    const text = written({ agent });
    await this.#open(() => this.#order.run(ofAgent(String(agent?.id)), () => this.#asked('saveAgent', text)));
  }

  /** Returns all saved agents in the order of their ids. */
  agents(): Promise<Agent[]> {
    return this.#open(() => this.#order.readAll(ofAgent(''), () => this.#asked('agents', '{}')));
  }

  /** Finds messages by what they say. There is no index: every message is looked at until as many are found as are asked for. */
  search(query: SearchQuery): Promise<SearchResult> {
    return this.#ask('search', query);
  }

  /** Returns a session as Markdown: what is known of it, its tasks, and its messages in fences. */
  exportMarkdown(session: string): Promise<string> {
    return this.#read('exportMarkdown', { session });
  }

  /** Returns what a cleanup by a policy would do. Changes nothing; the program's `nofx cleanup` acts. */
  cleanupPreview(policy: RetentionPolicy = {}): Promise<CleanupPreview> {
    return this.#ask('cleanupPreview', policy);
  }

  /** Returns where the feed of changes ends now, to be given to {@link Workspace.watch} as `after`. */
  cursor(): Promise<string> {
    return this.#ask('eventsEnd', {});
  }

  /**
   * Tells what happens, by whichever window or program, until the loop is left, the signal is given or the workspace is closed.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<Changes, void, void> {
    const start = options.after === undefined ? this.cursor() : Promise.resolve(options.after);
    // A failure is told to whoever iterates, which may be nobody.
    start.catch(() => undefined);
    const ask = async (after: string) => {
      if (this.#closing !== undefined) {
        return undefined;
      }
      return await this.#ask<ChangesPage>('events', { after });
    };
    return watch(ask, start, options);
  }

  /**
   * Brings the legacy folder of a workspace into this store. The folder is only read.
   *
   * `from` is a `.nofx` folder or the folder that has one. Migrating again adds only what is new, and a migration that was interrupted
   * goes on where it was.
   */
  async migrate(from: string, options: MigrateOptions = {}): Promise<MigrationReport> {
    const { onProgress, ...rest } = options;
    const request = written({ from, ...rest });
    const tell = () => onProgress?.(JSON.parse(this.#handle.migrationProgress()) as MigrationProgress);
    const timer = setInterval(tell, PROGRESS_MS);
    try {
      return await this.#open(() =>
        this.#enter(async () => JSON.parse(await this.#handle.migrate(request)) as MigrationReport),
      );
    } finally {
      clearInterval(timer);
      tell();
    }
  }

  /**
   * Waits for the calls under way, at most three seconds, and lets go of the store. Closing again is no error.
   *
   * What was acknowledged is kept in any case, also if the process is killed instead.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const started = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_WAIT_MS / 2)));
    await Promise.race([this.#order.idle().then(() => this.#gate.idle()), patience]);
    clearTimeout(timer);
    const left = Math.max(0, CLOSE_WAIT_MS - (performance.now() - started));
    try {
      await this.#handle.close(Math.round(left));
    } catch (rejection) {
      throw errorOf(rejection);
    }
  }

  /** Asks something that no other call has to wait for. */
  async #ask<T>(verb: string, request: object): Promise<T> {
    const text = written(request);
    return this.#open(() => this.#asked(verb, text));
  }

  /** Asks for a change of a session, in the order in which such calls are made. */
  async #change<T>(verb: string, request: OfSession): Promise<T> {
    const text = written(request);
    return this.#open(() => {
      this.#joining.close(request.session);
      return this.#order.run(ofSession(request.session), () => this.#asked(verb, text));
    });
  }

  /** Asks about a session, behind the changes of it that were asked for before. */
  async #read<T>(verb: string, request: OfSession): Promise<T> {
    const text = written(request);
    return this.#open(() => this.#order.read(ofSession(request.session), () => this.#asked(verb, text)));
  }

  async #asked<T>(verb: string, text: string): Promise<T> {
    return this.#enter(async () => JSON.parse(await this.#handle.ask(verb, text)) as T);
  }

  /** Makes a call unless the workspace was closed before; one that still waits for its turn then is carried out. */
  async #open<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) {
      throw new ClosedError();
    }
    return call();
  }

  /** Goes into the addon when there is room. */
  async #enter<T>(call: () => Promise<T>): Promise<T> {
    await this.#gate.enter();
    try {
      return await call();
    } catch (rejection) {
      throw errorOf(rejection);
    } finally {
      this.#gate.leave();
    }
  }
}

/** A question about a session. */
interface OfSession {
  session: string;
  [member: string]: unknown;
}

/** The line in which calls about a session wait. */
function ofSession(id: string): string {
  return `session ${id}`;
}

/** The line in which calls about an agent wait. */
function ofAgent(id: string): string {
  return `agent ${id}`;
}
