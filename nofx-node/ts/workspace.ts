import type { Call, Handle } from './addon';
import { addon } from './native';
import type { AgentTotals, Checkpoint, Template } from './agents';
import type { Cleanup, CleanupPreview, Cleared, RetentionPolicy, Stats, Swept } from './cleanup';
import type { Checkup } from './doctor';
import type {
  Agent,
  AgentChanges,
  HistoryEntry,
  ListedAgent,
  Metadata,
  NewMessage,
  NewSession,
  OpenedSession,
  RestoreOptions,
  Seen,
  Session,
  SessionChanges,
  SessionFilter,
  SessionResult,
  SessionSummary,
  SummaryPage,
} from './entities';
import { type ErrorDetails, errorFrom, errorOf } from './errors';
import { type ExpiryEvent, type ExpiryOptions, type ExpiryPage, expiries } from './expiry';
import { historyOf, type HistoryOptions, historyPage } from './history';
import { Joining } from './joining';
import { long, type LongOptions } from './long';
import { Listing, type Page } from './pages';
import type { MigrateOptions, MigrationProgress, MigrationReport } from './migration';
import { type OrchestrationFilter, type OrchestrationMessage, orchestrationOf, type OrchestrationStats } from './orchestration';
import { Opened } from './opened';
import type { Kind, Which } from './order';
import { Records } from './records';
import type { SearchQuery, SearchResult } from './search';
import type { NewTask, StartedTask, Task, Tasks } from './tasks';
import { type Changes, type ChangesPage, type WatchOptions, watch } from './watch';
import { type Appended, SessionWriter } from './writer';
import { invalid, notFound, written } from './written';

/** How to open a store. */
export interface OpenOptions {
  /** Nothing is ever written, and the store must exist. */
  readOnly?: boolean;
  /** Whether a store that does not exist is made, with the folders above it. It is, unless it is only read. */
  create?: boolean;
  /**
   * Whether a `redb:` store that does not exist is made with a journal beside its file, to which it then commits with one flush instead of two.
   * It is not. A store that exists goes on as it was made.
   */
  journal?: boolean;
}

/** How to copy a store. */
export interface BackupOptions extends LongOptions {
  /** Whether a `redb:` copy is made with a journal beside its file, as {@link OpenOptions.journal}. */
  journal?: boolean;
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
  const text = written(options);
  try {
    return new Workspace(new Opened(() => addon.open(location, text), await addon.open(location, text)));
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
  readonly #opened: Opened;
  readonly #scope: Scope;
  /** The handle of this scope, and of which open store it is. */
  #scoped: { of: Handle; handle: Handle } | undefined;
  readonly #lines: Lines;

  /** Closes the store at the end of a block: `await using workspace = await open(…)`, where the host has that. */
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /** @internal */
  constructor(opened: Opened, scope: Scope = {}, lines?: Lines) {
    this.#opened = opened;
    this.#scope = scope;
    this.#lines = lines ?? {
      messages: new Joining(opened.order, 'session', (session, messages) =>
        this.#asked('addMessages', `{"session":${JSON.stringify(session)},"messages":${messages}}`),
      ),
      orchestration: new Joining(opened.order, 'orchestration', async (_, messages) => {
        await this.#asked('saveOrchestrations', `{"messages":${messages}}`);
        return 0;
      }),
    };
  }

  get #handle(): Handle {
    const { handle } = this.#opened;
    if (this.#scoped?.of !== handle) {
      const { namespace, operation } = this.#scope;
      const isWhole = namespace === undefined && operation === undefined;
      this.#scoped = { of: handle, handle: isWhole ? handle : scoped(handle, this.#scope) };
    }
    return this.#scoped.handle;
  }

  /**
   * Returns the workspace of a namespace in the same store: sessions, their keys, agents and the log between agents belong to one, from their
   * creation on. Templates and {@link Workspace.records} belong to all.
   *
   * Lists, search, totals, expiry, events and cleanup are about one; a session of another one is not found. Statistics, `doctor`, `backup` and `migrate` are
   * about all. A workspace that was opened is about the default one, which has no name and leaves all others out. A namespace need not be made,
   * and is gone with what it has. Closing or reopening it closes or reopens the store.
   *
   * Throws {@link InvalidError} unless the name has 1 to 64 lower-case letters, digits, hyphens, dots and underscores.
   */
  namespace(name: string): Workspace {
    requireText('namespace', name);
    const known = this.#opened.namespaces.get(name);
    if (known !== undefined) {
      return known;
    }
    const workspace = new Workspace(this.#opened, { namespace: name });
    // Its name is judged now.
    void workspace.#handle;
    this.#opened.namespaces.set(name, workspace);
    return workspace;
  }

  /** Returns the name of the namespace that this workspace is about; `null` for the default one. */
  namespaceName(): string | null {
    return this.#scope.namespace ?? null;
  }

  /**
   * Returns the verbs of one operation of a host: each of them happens once, however often the operation is repeated, also by another process, and a
   * repeat answers what came of the first call.
   *
   * That is what a host needs that does not know whether a call happened, after {@link UnknownOutcomeError} or a crash: it repeats the call under the
   * same id. Within an operation each verb counts once; with other arguments it is still the first call. What has changed since is answered as it is
   * now. Good for as long as the store remembers, at least the last 100,000 commits; after that a repeat is another call. A call that was refused, or that
   * changed nothing, is not remembered.
   *
   * ```ts
   * await workspace.operation(turn.id).addMessage(session.id, { type: 'user', content });
   * ```
   *
   * Throws {@link InvalidError} for an id that is empty or longer than 512 bytes.
   */
  operation(id: string): InOperation {
    requireText('operation', id);
    const workspace = new Workspace(this.#opened, { ...this.#scope, operation: id }, this.#lines);
    // Its id is judged now.
    void workspace.#handle;
    return workspace;
  }

  /**
   * Returns the records and logs of a host's own under a name of 1 to 16 lower-case letters and digits, the first a letter. They belong to no
   * namespace.
   */
  records(name: string): Records {
    const calls = {
      read: <T>(verb: string, request: object, names?: readonly string[]) => this.#read<T>('records', names, verb, request),
      change: <T>(verb: string, request: object, names: readonly string[]) => this.#change<T>('records', names, verb, request),
    };
    return new Records(calls, name);
  }

  /** Returns what the store is. Costs no I/O. */
  info(): StoreInfo {
    return JSON.parse(this.#handle.info()) as StoreInfo;
  }

  /** Creates a session of an agent. It begins active and expires after five hours unless it is told otherwise. */
  createSession(session: NewSession): Promise<Session> {
    return this.#ask('createSession', session);
  }

  /**
   * Returns the session under a key of the host's choosing, which is created if there is none: in one commit, so that of several who begin at once all
   * get the same one.
   *
   * One that is there is returned as it is, whatever else is said here, also if it has expired or is archived. Purging the session frees the key;
   * sessions restored from it or imported have none. Rejects with {@link InvalidError} for an empty key, and if the session is in the
   * trash: undelete or purge it first.
   */
  openSession(session: NewSession & { key: string }): Promise<OpenedSession> {
    return this.#read('session', undefined, 'openSession', session);
  }

  /** Returns the session under a key as {@link Workspace.session} does, also one in the trash; `null` if there is none. */
  sessionByKey(key: string): Promise<SessionSummary | null> {
    return this.#read('session', undefined, 'sessionByKey', { key });
  }

  /**
   * Returns a session, also one in the trash; `null` if there is none. It has its system prompt and the content of its template, which
   * sessions in lists have not.
   */
  session(id: string): Promise<SessionSummary | null> {
    return this.#read('session', id, 'session', { session: id });
  }

  /** Returns a page of sessions, newest activity first; the next one begins at `next`. */
  summaryPage(filter: SessionFilter & { after?: string | null; limit?: number } = {}): Promise<SummaryPage> {
    return this.#ask('sessionSummaries', filter);
  }

  /**
   * Returns all sessions that a filter lets through, newest activity first, read as they are asked for. Those that cannot be read are
   * left out: {@link Workspace.summaryPage} tells them.
   */
  summaries(filter: SessionFilter = {}): Listing<SessionSummary> {
    return Listing.of<SessionSummary, string | null>(null, (after) => this.summaryPage({ ...filter, after }));
  }

  /** Lets a session rest. */
  pauseSession(id: string): Promise<Session> {
    return this.#ofSession('pauseSession', { session: id });
  }

  /** Lets a session go on that rests or has expired; it then lasts as long as a new one. */
  resumeSession(id: string): Promise<Session> {
    return this.#ofSession('resumeSession', { session: id });
  }

  /** Changes what is known of a session; what is left out stays. */
  updateSession(id: string, changes: SessionChanges): Promise<Session> {
    return this.#ofSession('updateSession', { session: id, changes });
  }

  /**
   * Changes the metadata of a session by its members: each replaces the one of its name, and `null` removes that. The whole has at most 16 KiB as
   * JSON.
   */
  updateMetadata(id: string, changes: Metadata): Promise<Session> {
    return this.#ofSession('updateMetadata', { session: id, changes });
  }

  /** Returns what the agent of a session is told: the session's own prompt, or its template's. */
  systemPrompt(id: string): Promise<string | null> {
    return this.#read('session', id, 'systemPrompt', { session: id });
  }

  /** Changes the name of a session. */
  renameSession(id: string, name: string): Promise<Session> {
    return this.#ofSession('renameSession', { session: id, name });
  }

  /** Puts a session away for good: it takes no messages any more. {@link Workspace.restoreSession} continues it in a new one. */
  archiveSession(id: string): Promise<Session> {
    return this.#ofSession('archiveSession', { session: id });
  }

  /** Makes a new session that begins with the messages of another one, which stays as it is. Nothing is copied. */
  restoreSession(id: string, options: RestoreOptions = {}): Promise<Session> {
    return this.#ofSession('restoreSession', { session: id, options });
  }

  /**
   * Takes back the newest messages of a session, so that `to` are left; returns the session as it then is.
   *
   * One commit, whose cost does not depend on how long the history is. What was behind the cut is out of reach of every verb. Sessions that were
   * restored from this one before keep what they had. Preview, counts and last activity are what is left; tasks stay.
   *
   * Rejects with {@link ConflictError} if the session does not stand where the caller has `seen` it, with {@link InvalidError} if it has fewer messages
   * than `to`, is archived or is in the trash.
   */
  rewindSession(id: string, to: number, { seen }: { seen: number | Seen }): Promise<Session> {
    return this.#ofSession('rewindSession', { session: id, to, seen });
  }

  /** Puts a session into the trash, from which {@link Workspace.undeleteSession} takes it out again. */
  deleteSession(id: string): Promise<Session> {
    return this.#ofSession('deleteSession', { session: id });
  }

  /** Takes a session out of the trash as it was. */
  undeleteSession(id: string): Promise<Session> {
    return this.#ofSession('undeleteSession', { session: id });
  }

  /** Returns whether there was a session of this id that was removed for good. */
  isPurged(id: string): Promise<boolean> {
    return this.#read('session', id, 'isPurged', { session: id });
  }

  /** Removes a session in the trash for good. */
  async purgeSession(id: string): Promise<void> {
    await this.#ofSession('purgeSession', { session: id });
  }

  /** Removes a session for good in one commit, whether or not it is in the trash. Nothing takes this back. */
  async purgeLiveSession(id: string): Promise<void> {
    await this.#ofSession('purgeLiveSession', { session: id });
  }

  /** Archives several sessions; the result of each, in their order. */
  archiveSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('archiveSessions', { sessions: ids });
  }

  /** Restores several sessions; the result of each, in their order. */
  restoreSessions(ids: string[], options: RestoreOptions = {}): Promise<SessionResult[]> {
    return this.#each('restoreSessions', { sessions: ids, options });
  }

  /** Puts several sessions into the trash; the result of each, in their order. */
  deleteSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('deleteSessions', { sessions: ids });
  }

  /** Takes several sessions out of the trash; the result of each, in their order. */
  undeleteSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('undeleteSessions', { sessions: ids });
  }

  /** Removes several sessions in the trash for good; the result of each, in their order. */
  purgeSessions(ids: string[]): Promise<SessionResult<null>[]> {
    return this.#each('purgeSessions', { sessions: ids });
  }

  /** Removes several sessions for good, whether or not they are in the trash; the result of each, in their order. */
  purgeLiveSessions(ids: string[]): Promise<SessionResult<null>[]> {
    return this.#each('purgeLiveSessions', { sessions: ids });
  }

  /** Adds a message to a session, whatever others added meanwhile, and returns its position once it is durable. */
  addMessage(session: string, message: NewMessage): Promise<number> {
    return this.addMessages(session, [message]);
  }

  /** Adds messages to a session, all or none, and returns the position of the first one once they are durable. */
  async addMessages(session: string, messages: NewMessage[]): Promise<number> {
    this.#opened.refuseIfClosed();
    requireText('session', session);
    // What joins others is no operation of its own.
    return this.#scope.operation === undefined
      ? await this.#lines.messages.add(session, messages)
      : await this.#ofSession('addMessages', { session, messages });
  }

  /** Returns a writer that has seen everything that a session has now. */
  async sessionWriter(session: string): Promise<SessionWriter> {
    const summary = await this.session(session);
    if (summary === null) {
      throw notFound(`there is no session \`${session}\``);
    }
    const { messages: seen, rewinds = 0 } = summary;
    const append = (length: number, messages: NewMessage[]) =>
      this.#ofSession<Appended>('appendAt', { session, seen: { length, rewinds }, messages });
    return new SessionWriter(append, seen);
  }

  /** Returns the messages of a session, read as they are asked for. */
  history(session: string, options: HistoryOptions = {}): Listing<HistoryEntry> {
    const read = async ({ pageSize, ...rest }: HistoryOptions) => {
      const text = written({ session, limit: pageSize, ...rest });
      this.#opened.refuseIfClosed();
      const { order } = this.#opened;
      return historyPage(await order.read('session', session, () => this.#opened.enter(() => this.#handle.history(text))));
    };
    return historyOf(read, options);
  }

  /** Returns the newest `count` messages of a session, oldest first; all in one read, unless they have megabytes. */
  async tail(session: string, count: number): Promise<HistoryEntry[]> {
    const newest: HistoryEntry[] = [];
    const pages = this.history(session, { newestFirst: true, pageSize: count }).pages();
    for (let page = await pages.next(); count > 0 && !page.done; page = await pages.next()) {
      newest.push(...page.value);
      if (newest.length >= count) {
        break;
      }
    }
    return newest.slice(0, count).reverse();
  }

  /**
   * Returns the tasks of a session, all at once, with the one that is being worked on. Of a session that has thousands, {@link Workspace.endedTasks} reads
   * them as they are asked for.
   */
  tasks(session: string): Promise<Tasks> {
    return this.#read('session', session, 'tasks', { session });
  }

  /** Returns the tasks of a session that ended, the last one first, read as they are asked for. One that cannot be read says so in its place. */
  endedTasks(session: string): Listing<Task> {
    return Listing.of<Task, string | null>(null, (after) => this.#read('session', session, 'endedTasks', { session, after }));
  }

  /** Begins a task. One that is being worked on is interrupted, and said to be. */
  startTask(session: string, task: NewTask | string): Promise<StartedTask> {
    return this.#ofSession('startTask', { session, task: typeof task === 'string' ? { title: task } : task });
  }

  /** Ends the task that is being worked on, as done. It must be this one. */
  completeTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('completeTask', { session, task });
  }

  /** Ends the task that is being worked on, as given up with an error. It must be this one. */
  failTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('failTask', { session, task });
  }

  /** Puts aside the task that is being worked on. It must be this one. */
  interruptTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('interruptTask', { session, task });
  }

  /** Saves an agent, new or changed, as it is given. The content of its `template`, if that is an object, is kept once for all. */
  async saveAgent(agent: Agent): Promise<void> {
    await this.#change('agent', agent?.id, 'saveAgent', { agent });
  }

  /** Saves several agents, all or none. Others stay as they are. */
  async saveAgents(agents: Agent[]): Promise<void> {
    await this.#change('agent', undefined, 'saveAgents', { agents });
  }

  /** Saves several agents and removes all others from the list, all or nothing. */
  async replaceAgents(agents: Agent[]): Promise<void> {
    await this.#change('agent', undefined, 'replaceAgents', { agents });
  }

  /** Returns an agent with the content of its template; `null` if there is none. */
  agent(id: string): Promise<Agent | null> {
    return this.#read('agent', id, 'agent', { agent: id });
  }

  /** Changes members of an agent; what is left out stays. Returns the agent as it then is; `null` if there is none. */
  updateAgent(id: string, changes: AgentChanges): Promise<Agent | null> {
    return this.#change('agent', id, 'updateAgent', { agent: id, changes });
  }

  /**
   * Returns all saved agents with the contents of their templates, in the order of their ids, read as they are asked for. One that cannot
   * be read says so in its place.
   */
  agents(): Listing<ListedAgent> {
    return Listing.of<ListedAgent, string | null>(null, async (after) => {
      const { items, next } = await this.#read<Page<ListedAgent, string>>('agent', undefined, 'agents', { after });
      return { items, next };
    });
  }

  /** Takes an agent out of the list; returns whether there was one. Its sessions, transcript and checkpoints stay. */
  removeAgent(id: string): Promise<boolean> {
    return this.#change('agent', id, 'removeAgent', { agent: id });
  }

  /** Returns what the sessions of an agent add up to. */
  agentTotals(id: string): Promise<AgentTotals> {
    return this.#ask('agentTotals', { agent: id });
  }

  /** Adds to the transcript of an agent. */
  async appendTranscript(agent: string, content: string): Promise<void> {
    await this.#change('agent', agent, 'appendTranscript', { agent, content });
  }

  /** Begins the transcript of an agent again. What came before is kept, but is no longer part of the transcript. */
  async beginTranscript(agent: string, content: string): Promise<void> {
    await this.#change('agent', agent, 'beginTranscript', { agent, content });
  }

  /** Returns the transcript of an agent since it last began, in one text; `null` if there is none. */
  transcript(agent: string): Promise<string | null> {
    return this.#read('agent', agent, 'transcript', { agent });
  }

  /** Removes the transcript of an agent for good; returns whether there was one. The agent may go on with a new one. */
  removeTranscript(agent: string): Promise<boolean> {
    return this.#change('agent', agent, 'removeTranscript', { agent });
  }

  /** Removes the transcripts of all agents for good, also of those that are not in the list. */
  async clearTranscripts(): Promise<void> {
    await this.#change('agent', undefined, 'clearTranscripts', {});
  }

  /**
   * Returns what an agent is to be told when it is restored: the last fifty lines of its transcript, or where it has none, of its newest
   * session. `null` if there is neither.
   */
  contextSummary(agent: string): Promise<string | null> {
    return this.#read('agent', agent, 'contextSummary', { agent });
  }

  /** Keeps an exchange with an agent. */
  saveCheckpoint(agent: string, user: string, answer: string): Promise<Checkpoint> {
    return this.#change('agent', agent, 'saveCheckpoint', { agent, user, answer });
  }

  /** Returns the newest checkpoints of an agent, oldest first: 100 unless it says otherwise. One that cannot be read says so in its place. */
  checkpoints(agent: string, count?: number): Promise<Checkpoint[]> {
    return this.#read('agent', agent, 'checkpoints', { agent, count });
  }

  /** Removes the checkpoints of an agent for good; returns whether there were any. */
  removeCheckpoints(agent: string): Promise<boolean> {
    return this.#change('agent', agent, 'removeCheckpoints', { agent });
  }

  /** Removes the checkpoints of all agents for good, also of those that are not in the list. */
  async clearCheckpoints(): Promise<void> {
    await this.#change('agent', undefined, 'clearCheckpoints', {});
  }

  /** Saves a content of a template and points its name to it; returns the digest by which that content is found. */
  saveTemplate(template: Template): Promise<string> {
    return this.#ask('saveTemplate', { template });
  }

  /** Returns the newest content of a template; `null` if there is none of that name. */
  template(id: string): Promise<Template | null> {
    return this.#ask('template', { template: id });
  }

  /** Returns one content of a template, such as that of a session; `null` if there is none. */
  templateContent(digest: string): Promise<Template | null> {
    return this.#ask('templateContent', { digest });
  }

  /**
   * Returns the newest content of every template in the order of their names, read as they are asked for. One that cannot be read says so
   * in its place.
   */
  templates(): Listing<Template> {
    return Listing.of<Template, string | null>(null, (after) => this.#ask('templates', { after }));
  }

  /** Removes the name of a template; returns whether there was one. Its contents stay for the sessions that were made from them. */
  removeTemplate(id: string): Promise<boolean> {
    return this.#ask('removeTemplate', { template: id });
  }

  /** Keeps a message between agents. Calls keep their order. */
  async saveOrchestration(message: OrchestrationMessage): Promise<void> {
    await this.saveOrchestrations([message]);
  }

  /** Keeps messages between agents, all or none. */
  async saveOrchestrations(messages: OrchestrationMessage[]): Promise<void> {
    this.#opened.refuseIfClosed();
    if (this.#scope.operation === undefined) {
      await this.#lines.orchestration.add('', messages);
      return;
    }
    this.#lines.orchestration.close('');
    await this.#change('orchestration', undefined, 'saveOrchestrations', { messages });
  }

  /**
   * Returns the messages between agents that a filter lets through, the newest first unless it says otherwise, read as they are asked
   * for. One that cannot be read says so in its place.
   */
  orchestrationHistory(filter: OrchestrationFilter = {}): Listing<OrchestrationMessage> {
    return orchestrationOf((of) => this.#read('orchestration', undefined, 'orchestrationHistory', of), filter);
  }

  /** Returns what is known of the log of messages between agents. */
  orchestrationStats(): Promise<OrchestrationStats> {
    return this.#read('orchestration', undefined, 'orchestrationStats', {});
  }

  /** Removes all messages between agents for good. */
  async clearOrchestration(): Promise<void> {
    this.#lines.orchestration.close('');
    await this.#change('orchestration', undefined, 'clearOrchestration', {});
  }

  /** Finds messages by what they say. There is no index: every message is looked at until as many are found as are asked for. */
  search(query: SearchQuery, options: LongOptions = {}): Promise<SearchResult> {
    return this.#long('search', query, options);
  }

  /** Returns a session as Markdown: what is known of it, its tasks, and its messages in fences. */
  exportMarkdown(session: string): Promise<string> {
    return this.#read('session', session, 'exportMarkdown', { session });
  }

  /** Returns all agents with their totals and transcripts as Markdown. */
  exportAgentsMarkdown(): Promise<string> {
    return this.#read('agent', undefined, 'exportAgentsMarkdown', {});
  }

  /**
   * Returns a session as one JSON text with its template, tasks and messages, for {@link Workspace.importSession}. In the place of messages
   * that cannot be read stands one of the system that says so, with the member `unreadable`.
   */
  exportJson(session: string): Promise<string> {
    return this.#read('session', session, 'exportJson', { session });
  }

  /** Makes a session of a text that {@link Workspace.exportJson} wrote; with `newId`, one with an id of its own. */
  importSession(text: string, options: { newId?: boolean } = {}): Promise<Session> {
    return this.#ask('importSession', { text, ...options });
  }

  /**
   * Makes a store at a location, where none may be, that holds what this one held at one moment; others may write to this one
   * concurrently. One that was stopped leaves a part of a copy behind.
   */
  async backup(to: string, { journal, ...options }: BackupOptions = {}): Promise<void> {
    await this.#long('backup', { to, journal }, options);
  }

  /** Returns how much the store holds. Reads a small record for each session and agent. */
  stats(): Promise<Stats> {
    return this.#ask('stats', {});
  }

  /** Does what {@link Workspace.cleanupPreview} shows, by a plan made now; returns what was done. */
  cleanup(policy: RetentionPolicy = {}, options: LongOptions = {}): Promise<Cleanup> {
    return this.#long('cleanup', policy, options);
  }

  /** Returns what a cleanup by a policy would do. Changes nothing. */
  cleanupPreview(policy: RetentionPolicy = {}, options: LongOptions = {}): Promise<CleanupPreview> {
    return this.#long('cleanupPreview', policy, options);
  }

  /**
   * Removes all that the store holds for good, behind all calls that were made before: sessions, agents, templates, transcripts, checkpoints, messages
   * between agents, of all namespaces, what was kept of an old folder, and the records and logs of hosts' own. Two things stay: which files
   * were migrated, and which sessions were purged, so that no migration or import brings anything back. So does what cannot be read or was
   * written by a later version, with what it may need; it is told. One that was stopped goes on when it is repeated.
   */
  async clearAll(options: LongOptions = {}): Promise<Cleared> {
    this.#opened.refuseIfClosed();
    await this.#opened.order.idle();
    const { sessions, left } = await this.#long<{ sessions: number; left: ErrorDetails[] }>('clearAll', {}, options);
    return { sessions, left: left.map(errorFrom) };
  }

  /**
   * Removes long contents that no message of any session names any more; a {@link Workspace.cleanup} that removes sessions for good does
   * it by itself. Reads every history. Nothing is removed if a message cannot be read.
   */
  sweepContents(options: LongOptions = {}): Promise<Swept> {
    return this.#long('sweepContents', {}, options);
  }

  /**
   * Reads everything that the store holds and lists what is damaged. Changes nothing; others may use the store concurrently. What is
   * damaged is repaired by `nofx doctor --repair`, which says what that does.
   */
  doctor(options: LongOptions = {}): Promise<Checkup> {
    return this.#long('doctor', {}, options);
  }

  /** Returns where the feed of changes ends now, to be given to {@link Workspace.watch} as `after`. */
  cursor(): Promise<string> {
    return this.#ask('eventsEnd', {});
  }

  /**
   * Returns what happened since a cursor, or as far back as the store remembers: a page of it, unless it is said to be at the end.
   * {@link Workspace.watch} asks again and again.
   */
  events(after?: string): Promise<ChangesPage> {
    return this.#ask('events', { after });
  }

  /**
   * Tells what happens, by whichever window or program, until the loop is left, the signal is given or the workspace is closed.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<Changes, void, void> {
    const start = options.after === undefined ? this.cursor() : Promise.resolve(options.after);
    // A failure is told to whoever iterates, which may be nobody.
    start.catch(() => undefined);
    const ask = async (after: string) => {
      if (this.#opened.isClosed) {
        return undefined;
      }
      return await this.events(after);
    };
    return watch(ask, start, options);
  }

  /**
   * Warns half an hour before a session ends and tells when it has ended, also of those that ended while no program was running, until
   * the loop is left, the signal is given or the workspace is closed. Without a watch a session ends all the same.
   */
  expiryWatch(options: ExpiryOptions = {}): AsyncGenerator<ExpiryEvent, void, void> {
    let of = this.#handle;
    let watch = of.expiryWatch();
    const ask = async () => {
      if (this.#opened.isClosed) {
        return undefined;
      }
      if (of !== this.#handle) {
        of = this.#handle;
        watch = of.expiryWatch();
      }
      return JSON.parse(await this.#opened.enter(() => watch.poll())) as ExpiryPage;
    };
    return expiries(ask, options);
  }

  /**
   * Brings the legacy folder of a workspace into this store. The folder is only read.
   *
   * `from` is a `.nofx` folder or the folder that has one. Migrating again adds only what is new, and a migration that was interrupted
   * goes on where it was.
   */
  async migrate(from: string, options: MigrateOptions = {}): Promise<MigrationReport> {
    const { onProgress, signal, ...rest } = options;
    const request = written({ from, ...rest });
    this.#opened.refuseIfClosed();
    const handle = this.#handle;
    const report = await long<string, MigrationProgress>(
      { ...(signal && { signal }), ...(onProgress && { onProgress }) },
      (call) => this.#opened.enter(() => handle.migrate(request, call)),
      () => handle.migrationProgress(),
    );
    return JSON.parse(report) as MigrationReport;
  }

  /**
   * Opens the store at the same place again and goes on with what is there now: after {@link GoneError} when the store is back, after
   * {@link ReplacedError} with what replaced it, and after {@link Workspace.close}. Watches go on, and {@link Workspace.watch} tells a gap.
   *
   * If it cannot be opened, this handle stays as it was.
   */
  async reopen(): Promise<void> {
    await this.#opened.reopen();
  }

  /**
   * Waits for the calls under way, at most three seconds, and lets go of the store. Closing again is no error.
   *
   * What was acknowledged is kept in any case, also if the process is killed instead.
   */
  close(): Promise<void> {
    return this.#opened.close();
  }

  /** Asks something that no other call has to wait for. */
  async #ask<T>(verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#asked(verb, text);
  }

  /** Asks for a change of things in the order in which such calls are made. */
  async #change<T>(kind: Kind, which: Which, verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#opened.order.run<T>(kind, which, () => this.#asked(verb, text));
  }

  /** Asks for a change of a session. Messages that are added later do not join those that were added before. */
  #ofSession<T>(verb: string, request: { session: string; [member: string]: unknown }): Promise<T> {
    this.#lines.messages.close(request.session);
    return this.#change('session', request.session, verb, request);
  }

  /** Asks for a change of several sessions, behind all that were asked for before. */
  async #each<T>(verb: string, request: { sessions: string[]; options?: RestoreOptions }): Promise<SessionResult<T>[]> {
    if (Array.isArray(request.sessions)) {
      request.sessions.forEach((id) => this.#lines.messages.close(id));
    }
    const told: { ok: T; error?: ErrorDetails }[] = await this.#change('session', undefined, verb, request);
    return told.map(({ ok, error }) => (error === undefined ? { ok } : { error: errorFrom(error) }));
  }

  /** Asks about things behind the changes of them that were asked for before. */
  async #read<T>(kind: Kind, which: Which, verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#opened.order.read<T>(kind, which, () => this.#asked(verb, text));
  }

  /** Asks something that may take long and may be stopped. */
  async #long<T>(verb: string, request: object, options: LongOptions): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    const ask = (call: Call) => this.#opened.enter(() => this.#handle.askLong(verb, text, call));
    return JSON.parse(await long(options, ask, (call) => call.progress())) as T;
  }

  async #asked<T>(verb: string, text: string): Promise<T> {
    return JSON.parse(await this.#opened.enter(() => this.#handle.ask(verb, text))) as T;
  }
}

/** Which part of a store a workspace is about. */
interface Scope {
  namespace?: string;
  operation?: string;
}

/** What waits to be added together; those of an operation are those of its namespace. */
interface Lines {
  messages: Joining;
  orchestration: Joining;
}

/** The verbs that may belong to an operation of a host: those that write one thing, or several all or nothing. */
export type InOperation = Pick<
  Workspace,
  | 'createSession'
  | 'openSession'
  | 'updateSession'
  | 'updateMetadata'
  | 'renameSession'
  | 'pauseSession'
  | 'resumeSession'
  | 'archiveSession'
  | 'restoreSession'
  | 'rewindSession'
  | 'deleteSession'
  | 'undeleteSession'
  | 'purgeSession'
  | 'purgeLiveSession'
  | 'addMessage'
  | 'addMessages'
  | 'startTask'
  | 'completeTask'
  | 'failTask'
  | 'interruptTask'
  | 'saveAgent'
  | 'saveAgents'
  | 'replaceAgents'
  | 'updateAgent'
  | 'removeAgent'
  | 'appendTranscript'
  | 'beginTranscript'
  | 'removeTranscript'
  | 'saveCheckpoint'
  | 'removeCheckpoints'
  | 'saveTemplate'
  | 'removeTemplate'
  | 'saveOrchestration'
  | 'saveOrchestrations'
>;

function requireText(argument: string, value: unknown): void {
  if (typeof value !== 'string') {
    throw invalid(`\`${argument}\` is ${String(value)}, not a text`);
  }
}

function scoped(handle: Handle, scope: Scope): Handle {
  const text = written(scope);
  try {
    return handle.scoped(text);
  } catch (rejection) {
    throw errorOf(rejection);
  }
}

// Node 18.15 has no such symbol.
if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(Workspace.prototype, Symbol.asyncDispose, { value: Workspace.prototype.close, configurable: true, writable: true });
}
