import type { Call, Handle } from './addon';
import { called } from './calls';
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
import { historyOf, type HistoryOptions, HistoryPage } from './history';
import { JoinedCalls } from './joined-calls';
import { long, type LongOptions } from './long-calls';
import { invalid, notFound } from './own-errors';
import type { MigrateOptions, MigrationProgress, MigrationReport } from './migration';
import { OpenStore } from './open-store';
import { type OrchestrationFilter, type OrchestrationMessage, orchestrationOf, type OrchestrationStats } from './orchestration';
import type { Kind, Which } from './order';
import { Listing, type Page } from './pages';
import { Records } from './records';
import { written } from './requests';
import type { SearchQuery, SearchResult } from './search';
import type { NewTask, StartedTask, Task, Tasks } from './tasks';
import { type Changes, type ChangesPage, type WatchOptions, watch } from './watch';
import { type Appended, SessionWriter } from './writer';

/** Options of opening a store. */
export interface OpenOptions {
  /** Open it read-only: nothing is ever written, and the store must exist. */
  readOnly?: boolean;
  /** Whether to create a store that does not exist, with the folders above it. True by default, unless it is opened read-only. */
  create?: boolean;
  /**
   * Whether to create a new `redb:` store with a journal beside its file, to which it then commits with one flush instead of two. True by
   * default. An existing store stays as it was created.
   */
  journal?: boolean;
}

/** Options of a backup. */
export interface BackupOptions extends LongOptions {
  /** Whether to create a `redb:` copy with a journal beside its file, as {@link OpenOptions.journal}. */
  journal?: boolean;
}

/** What is known about an open store. */
export interface StoreInfo {
  /** The backend, named like the scheme of a location. */
  backend: string;
  /** The id of the store, generated when it was created. */
  store: string;
  /** Why nothing can be written, if so. */
  readOnly: string | null;
}

/**
 * Opens the store at a location:
 *
 * - `redb:PATH`, a file, with a journal in the folder `PATH-journal`;
 * - `fs:PATH`, a folder of files that people can read;
 * - `s3://BUCKET/PREFIX`, `gs://…`, `az://…` or `file:///PATH`, object storage;
 * - `memory:`, gone with the process.
 *
 * Which of them an addon supports was chosen when it was built: the error for one that is not included names the cargo feature.
 * Several windows and programs can have one store open, and each sees what the others have written.
 */
export async function open(location: string, options: OpenOptions = {}): Promise<Workspace> {
  const text = written(options);
  try {
    return new Workspace(new OpenStore(() => addon.open(location, text), await addon.open(location, text)));
  } catch (rejection) {
    throw errorOf(rejection);
  }
}

/**
 * An open store, with everything that people do with it. Calls may be made at any time and in any number.
 *
 * Calls that change one session or one agent happen in the order in which they are made, awaited or not, and calls that read it see
 * the changes made before. Calls that add messages to one session share commits while they wait. A failed call affects only its own caller.
 */
export class Workspace {
  readonly #opened: OpenStore;
  readonly #scope: Scope;
  /** The addon's handle for this scope, and the open store that it belongs to. */
  #scoped: { of: Handle; handle: Handle } | undefined;
  readonly #lines: Lines;

  /** Closes the store at the end of a block: `await using workspace = await open(…)`, if the host supports that. */
  declare [Symbol.asyncDispose]: () => Promise<void>;

  /** @internal */
  constructor(opened: OpenStore, scope: Scope = {}, lines?: Lines) {
    this.#opened = opened;
    this.#scope = scope;
    this.#lines = lines ?? {
      messages: new JoinedCalls(opened.order, 'session', (session, messages) =>
        this.#asked('addMessages', `{"session":${JSON.stringify(session)},"messages":${messages}}`),
      ),
      orchestration: new JoinedCalls(opened.order, 'orchestration', async (_, messages) => {
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
   * Returns the workspace of a namespace in the same store. Sessions, their keys, agents and the log between agents belong to one namespace from their
   * creation on. Templates and {@link Workspace.records} belong to all.
   *
   * Lists, search, totals, expiry, events and cleanup cover one namespace; a session of another one is not found. Statistics, `doctor`, `backup` and
   * `migrate` cover all. A workspace returned by `open` covers the default namespace, which has no name and excludes all others. A namespace need not be
   * created, and is gone with its content. Closing or reopening it closes or reopens the store.
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
    // The name is validated immediately.
    void workspace.#handle;
    this.#opened.namespaces.set(name, workspace);
    return workspace;
  }

  /** Returns the name of this workspace's namespace; `null` for the default one. */
  namespaceName(): string | null {
    return this.#scope.namespace ?? null;
  }

  /**
   * Returns the verbs of one operation of a host. Each of them happens once, however often the operation is retried, even by another process; a
   * retry answers with the result of the first call.
   *
   * Use it when the host does not know whether a call happened, after {@link UnknownOutcomeError} or a crash: retry the call with the same id.
   * Within an operation each verb counts once; with other arguments it is still the first call. What has changed since is answered in its current
   * state. This holds for as long as the store remembers, at least the last 100,000 commits; after that a retry is a new call. A call that was refused,
   * or that changed nothing, is not remembered.
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
    // The id is validated immediately.
    void workspace.#handle;
    return workspace;
  }

  /**
   * Returns a host's own records and logs under a name of 1 to 16 lower-case letters and digits, the first a letter. They belong to no
   * namespace.
   */
  records(name: string): Records {
    const calls = {
      read: <T>(verb: string, request: object, names?: readonly string[]) => this.#read<T>('records', names, verb, request),
      change: <T>(verb: string, request: object, names: readonly string[]) => this.#change<T>('records', names, verb, request),
    };
    return new Records(calls, name);
  }

  /** Returns what is known about the store. Costs no I/O. */
  info(): StoreInfo {
    return JSON.parse(this.#handle.info()) as StoreInfo;
  }

  /** Creates a session of an agent. It is active, and expires after five hours unless the options say otherwise. */
  createSession(session: NewSession): Promise<Session> {
    return this.#ask('createSession', session);
  }

  /**
   * Returns the session under a key that the host chooses, creating it if it does not exist. It is created in one commit, so that all concurrent
   * callers get the same session.
   *
   * An existing session is returned unchanged, whatever the options say, even if it has expired or is archived. Purging the session frees the key;
   * sessions restored from it or imported have no key. Rejects with {@link InvalidError} for an empty key, and if the session is in the
   * trash: undelete or purge it first.
   */
  openSession(session: NewSession & { key: string }): Promise<OpenedSession> {
    return this.#read('session', undefined, 'openSession', session);
  }

  /** Returns the session under a key as {@link Workspace.session} does, including one in the trash; `null` if there is none. */
  sessionByKey(key: string): Promise<SessionSummary | null> {
    return this.#read('session', undefined, 'sessionByKey', { key });
  }

  /**
   * Returns a session, including one in the trash; `null` if there is none. It has its system prompt and the content of its template, which
   * sessions in lists do not have.
   */
  session(id: string): Promise<SessionSummary | null> {
    return this.#read('session', id, 'session', { session: id });
  }

  /** Returns a page of sessions, most recently active first; the next page begins at `next`. */
  summaryPage(filter: SessionFilter & { after?: string | null; limit?: number } = {}): Promise<SummaryPage> {
    return this.#ask('sessionSummaries', filter);
  }

  /**
   * Returns all sessions that match a filter, most recently active first, read on demand. Sessions that cannot be read are omitted:
   * {@link Workspace.summaryPage} reports them.
   */
  summaries(filter: SessionFilter = {}): Listing<SessionSummary> {
    return Listing.of<SessionSummary, string | null>(null, (after) => this.summaryPage({ ...filter, after }));
  }

  /** Pauses a session. */
  pauseSession(id: string): Promise<Session> {
    return this.#ofSession('pauseSession', { session: id });
  }

  /** Resumes a session that is paused or has expired; it then lasts as long as a new one. */
  resumeSession(id: string): Promise<Session> {
    return this.#ofSession('resumeSession', { session: id });
  }

  /** Changes details of a session; omitted members stay unchanged. */
  updateSession(id: string, changes: SessionChanges): Promise<Session> {
    return this.#ofSession('updateSession', { session: id, changes });
  }

  /**
   * Changes the metadata of a session by member: each replaces the one of its name, and `null` removes that. The whole has at most 16 KiB as
   * JSON.
   */
  updateMetadata(id: string, changes: Metadata): Promise<Session> {
    return this.#ofSession('updateMetadata', { session: id, changes });
  }

  /** Returns the prompt of a session's agent: the session's own, or its template's. */
  systemPrompt(id: string): Promise<string | null> {
    return this.#read('session', id, 'systemPrompt', { session: id });
  }

  /** Changes the name of a session. */
  renameSession(id: string, name: string): Promise<Session> {
    return this.#ofSession('renameSession', { session: id, name });
  }

  /** Archives a session permanently: it accepts no more messages. {@link Workspace.restoreSession} continues it in a new one. */
  archiveSession(id: string): Promise<Session> {
    return this.#ofSession('archiveSession', { session: id });
  }

  /** Creates a new session that begins with the messages of another one, which stays unchanged. Nothing is copied. */
  restoreSession(id: string, options: RestoreOptions = {}): Promise<Session> {
    return this.#ofSession('restoreSession', { session: id, options });
  }

  /**
   * Removes the newest messages of a session, so that `to` are left; returns the session in its new state.
   *
   * This takes one commit, whose cost does not depend on the length of the history. No verb can reach the removed messages. Sessions that were
   * restored from this one earlier keep theirs. Preview, counts and last activity reflect what is left; tasks stay.
   *
   * Rejects with {@link ConflictError} if the session is not in the state that the caller has `seen`, and with {@link InvalidError} if it has fewer
   * messages than `to`, is archived or is in the trash.
   */
  rewindSession(id: string, to: number, { seen }: { seen: number | Seen }): Promise<Session> {
    return this.#ofSession('rewindSession', { session: id, to, seen });
  }

  /** Moves a session to the trash, from which {@link Workspace.undeleteSession} recovers it. */
  deleteSession(id: string): Promise<Session> {
    return this.#ofSession('deleteSession', { session: id });
  }

  /** Recovers a session from the trash, in the state it had before. */
  undeleteSession(id: string): Promise<Session> {
    return this.#ofSession('undeleteSession', { session: id });
  }

  /** Returns whether a session of this id existed and was purged. */
  isPurged(id: string): Promise<boolean> {
    return this.#read('session', id, 'isPurged', { session: id });
  }

  /** Purges a session in the trash. */
  async purgeSession(id: string): Promise<void> {
    await this.#ofSession('purgeSession', { session: id });
  }

  /** Purges a session in one commit, whether or not it is in the trash. This cannot be undone. */
  async purgeLiveSession(id: string): Promise<void> {
    await this.#ofSession('purgeLiveSession', { session: id });
  }

  /** Archives several sessions; returns the result of each, in their order. */
  archiveSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('archiveSessions', { sessions: ids });
  }

  /** Restores several sessions; returns the result of each, in their order. */
  restoreSessions(ids: string[], options: RestoreOptions = {}): Promise<SessionResult[]> {
    return this.#each('restoreSessions', { sessions: ids, options });
  }

  /** Moves several sessions to the trash; returns the result of each, in their order. */
  deleteSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('deleteSessions', { sessions: ids });
  }

  /** Recovers several sessions from the trash; returns the result of each, in their order. */
  undeleteSessions(ids: string[]): Promise<SessionResult[]> {
    return this.#each('undeleteSessions', { sessions: ids });
  }

  /** Purges several sessions in the trash; returns the result of each, in their order. */
  purgeSessions(ids: string[]): Promise<SessionResult<null>[]> {
    return this.#each('purgeSessions', { sessions: ids });
  }

  /** Purges several sessions, whether or not they are in the trash; returns the result of each, in their order. */
  purgeLiveSessions(ids: string[]): Promise<SessionResult<null>[]> {
    return this.#each('purgeLiveSessions', { sessions: ids });
  }

  /** Adds a message to a session, whatever others have added concurrently, and returns its position once it is durable. */
  addMessage(session: string, message: NewMessage): Promise<number> {
    return this.addMessages(session, [message]);
  }

  /** Adds messages to a session, all or none, and returns the position of the first one once they are durable. */
  async addMessages(session: string, messages: NewMessage[]): Promise<number> {
    this.#opened.refuseIfClosed();
    requireText('session', session);
    // A call that joins others cannot be an operation of its own.
    return this.#scope.operation === undefined
      ? await this.#lines.messages.add(session, messages)
      : await this.#ofSession('addMessages', { session, messages });
  }

  /** Returns a writer that has seen everything in a session up to now. */
  async sessionWriter(session: string): Promise<SessionWriter> {
    const summary = await this.session(session);
    if (summary === null) {
      throw notFound(`session \`${session}\``);
    }
    const { messages: seen, rewinds = 0 } = summary;
    const append = (length: number, messages: NewMessage[]) =>
      this.#ofSession<Appended>('appendAt', { session, seen: { length, rewinds }, messages });
    return new SessionWriter(append, seen);
  }

  /** Returns the messages of a session, read on demand. */
  history(session: string, options: HistoryOptions = {}): Listing<HistoryEntry> {
    const read = async ({ pageSize, ...rest }: HistoryOptions) => {
      const text = written({ session, limit: pageSize, ...rest });
      this.#opened.refuseIfClosed();
      const { order } = this.#opened;
      const ask = () => called((answers, call) => this.#handle.history(answers, call, text));
      return new HistoryPage(await order.read('session', session, () => this.#opened.enter(ask)));
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
   * Returns all tasks of a session at once, including the current one. For a session with thousands of tasks, {@link Workspace.endedTasks} reads
   * them on demand.
   */
  tasks(session: string): Promise<Tasks> {
    return this.#read('session', session, 'tasks', { session });
  }

  /** Returns the tasks of a session that have ended, the last one first, read on demand. One that cannot be read says so in its place. */
  endedTasks(session: string): Listing<Task> {
    return Listing.of<Task, string | null>(null, (after) => this.#read('session', session, 'endedTasks', { session, after }));
  }

  /** Starts a task. If another task is current, it is interrupted and returned. */
  startTask(session: string, task: NewTask | string): Promise<StartedTask> {
    return this.#ofSession('startTask', { session, task: typeof task === 'string' ? { title: task } : task });
  }

  /** Completes the current task, which must be this one. */
  completeTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('completeTask', { session, task });
  }

  /** Marks the current task, which must be this one, as failed with an error. */
  failTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('failTask', { session, task });
  }

  /** Interrupts the current task, which must be this one. */
  interruptTask(session: string, task: string): Promise<Task> {
    return this.#ofSession('interruptTask', { session, task });
  }

  /** Saves an agent, new or changed, as given. The content of its `template`, if that is an object, is stored once for all agents. */
  async saveAgent(agent: Agent): Promise<void> {
    await this.#change('agent', agent?.id, 'saveAgent', { agent });
  }

  /** Saves several agents, all or none. Other agents stay unchanged. */
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

  /** Changes members of an agent; omitted members stay unchanged. Returns the agent in its new state; `null` if there is none. */
  updateAgent(id: string, changes: AgentChanges): Promise<Agent | null> {
    return this.#change('agent', id, 'updateAgent', { agent: id, changes });
  }

  /**
   * Returns all saved agents with the contents of their templates, in order of id, read on demand. One that cannot
   * be read says so in its place.
   */
  agents(): Listing<ListedAgent> {
    return Listing.of<ListedAgent, string | null>(null, async (after) => {
      const { items, next } = await this.#read<Page<ListedAgent, string>>('agent', undefined, 'agents', { after });
      return { items, next };
    });
  }

  /** Removes an agent from the list; returns whether there was one. Its sessions, transcript and checkpoints stay. */
  removeAgent(id: string): Promise<boolean> {
    return this.#change('agent', id, 'removeAgent', { agent: id });
  }

  /** Returns the totals over an agent's sessions. */
  agentTotals(id: string): Promise<AgentTotals> {
    return this.#ask('agentTotals', { agent: id });
  }

  /** Appends to the transcript of an agent. */
  async appendTranscript(agent: string, content: string): Promise<void> {
    await this.#change('agent', agent, 'appendTranscript', { agent, content });
  }

  /** Starts the transcript of an agent over. Earlier content is kept, but is no longer part of the transcript. */
  async beginTranscript(agent: string, content: string): Promise<void> {
    await this.#change('agent', agent, 'beginTranscript', { agent, content });
  }

  /** Returns the transcript of an agent since it was last started over, as one text; `null` if there is none. */
  transcript(agent: string): Promise<string | null> {
    return this.#read('agent', agent, 'transcript', { agent });
  }

  /** Removes the transcript of an agent permanently; returns whether there was one. The agent can start a new one. */
  removeTranscript(agent: string): Promise<boolean> {
    return this.#change('agent', agent, 'removeTranscript', { agent });
  }

  /** Removes the transcripts of all agents permanently, including agents that are not in the list. */
  async clearTranscripts(): Promise<void> {
    await this.#change('agent', undefined, 'clearTranscripts', {});
  }

  /**
   * Returns what to tell a restored agent: the last fifty lines of its transcript or, without a transcript, of its newest
   * session. `null` if there is neither.
   */
  contextSummary(agent: string): Promise<string | null> {
    return this.#read('agent', agent, 'contextSummary', { agent });
  }

  /** Saves an exchange with an agent. */
  saveCheckpoint(agent: string, user: string, answer: string): Promise<Checkpoint> {
    return this.#change('agent', agent, 'saveCheckpoint', { agent, user, answer });
  }

  /** Returns the newest checkpoints of an agent, oldest first; 100 by default. One that cannot be read says so in its place. */
  checkpoints(agent: string, count?: number): Promise<Checkpoint[]> {
    return this.#read('agent', agent, 'checkpoints', { agent, count });
  }

  /** Removes the checkpoints of an agent permanently; returns whether there were any. */
  removeCheckpoints(agent: string): Promise<boolean> {
    return this.#change('agent', agent, 'removeCheckpoints', { agent });
  }

  /** Removes the checkpoints of all agents permanently, including agents that are not in the list. */
  async clearCheckpoints(): Promise<void> {
    await this.#change('agent', undefined, 'clearCheckpoints', {});
  }

  /** Saves a content of a template and points its name to it; returns the digest that identifies the content. */
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
   * Returns the newest content of every template in order of name, read on demand. One that cannot be read says so
   * in its place.
   */
  templates(): Listing<Template> {
    return Listing.of<Template, string | null>(null, (after) => this.#ask('templates', { after }));
  }

  /** Removes the name of a template; returns whether there was one. Its contents stay for the sessions that use them. */
  removeTemplate(id: string): Promise<boolean> {
    return this.#ask('removeTemplate', { template: id });
  }

  /** Saves a message between agents. Calls keep their order. */
  async saveOrchestration(message: OrchestrationMessage): Promise<void> {
    await this.saveOrchestrations([message]);
  }

  /** Saves messages between agents, all or none. */
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
   * Returns the messages between agents that match a filter, newest first by default, read on demand. One that cannot be read says so in
   * its place.
   */
  orchestrationHistory(filter: OrchestrationFilter = {}): Listing<OrchestrationMessage> {
    return orchestrationOf((of) => this.#read('orchestration', undefined, 'orchestrationHistory', of), filter);
  }

  /** Returns statistics of the log of messages between agents. */
  orchestrationStats(): Promise<OrchestrationStats> {
    return this.#read('orchestration', undefined, 'orchestrationStats', {});
  }

  /** Removes all messages between agents permanently. */
  async clearOrchestration(): Promise<void> {
    this.#lines.orchestration.close('');
    await this.#change('orchestration', undefined, 'clearOrchestration', {});
  }

  /** Searches the text of messages. There is no index: messages are read until the limit is reached. */
  search(query: SearchQuery, options: LongOptions = {}): Promise<SearchResult> {
    return this.#long('search', query, options);
  }

  /** Returns a session as Markdown: its details, its tasks, and its messages in code fences. */
  exportMarkdown(session: string): Promise<string> {
    return this.#read('session', session, 'exportMarkdown', { session });
  }

  /**
   * Returns a session as one HTML page, which needs no script and no other file. Markdown in messages is rendered, what tools returned is
   * folded. Nothing that was said can act: HTML is shown as text, and only web pages and mail addresses are linked.
   */
  exportHtml(session: string): Promise<string> {
    return this.#read('session', session, 'exportHtml', { session });
  }

  /** Returns all agents with their totals and transcripts as Markdown. */
  exportAgentsMarkdown(): Promise<string> {
    return this.#read('agent', undefined, 'exportAgentsMarkdown', {});
  }

  /**
   * Returns a session as one JSON text with its template, tasks and messages, for {@link Workspace.importSession}. In place of messages
   * that cannot be read there is a system message that says so, with the member `unreadable`.
   */
  exportJson(session: string): Promise<string> {
    return this.#read('session', session, 'exportJson', { session });
  }

  /** Creates a session from a text that {@link Workspace.exportJson} wrote; with `newId`, under a new id. */
  importSession(text: string, options: { newId?: boolean } = {}): Promise<Session> {
    return this.#ask('importSession', { text, ...options });
  }

  /**
   * Creates a store at a location, where none may exist, with the state of this store at one point in time; others may write to this store
   * concurrently. A stopped backup leaves part of a copy behind.
   */
  async backup(to: string, { journal, ...options }: BackupOptions = {}): Promise<void> {
    await this.#long('backup', { to, journal }, options);
  }

  /** Returns how much the store holds. Reads a small record for each session and agent. */
  stats(): Promise<Stats> {
    return this.#ask('stats', {});
  }

  /** Does what {@link Workspace.cleanupPreview} shows, with a plan made by this call; returns what was done. */
  cleanup(policy: RetentionPolicy = {}, options: LongOptions = {}): Promise<Cleanup> {
    return this.#long('cleanup', policy, options);
  }

  /** Returns what a cleanup with a policy would do. Changes nothing. */
  cleanupPreview(policy: RetentionPolicy = {}, options: LongOptions = {}): Promise<CleanupPreview> {
    return this.#long('cleanupPreview', policy, options);
  }

  /**
   * Removes everything in the store permanently, after all calls that were made before: sessions, agents, templates, transcripts, checkpoints and
   * messages between agents of all namespaces, what was kept of an old folder, and hosts' own records and logs. Two things stay: which files were
   * migrated, and which sessions were purged, so that no migration or import brings anything back. What cannot be read or was written by a later
   * version also stays, with what it may need; it is reported. If the call is stopped, repeat it to continue.
   */
  async clearAll(options: LongOptions = {}): Promise<Cleared> {
    this.#opened.refuseIfClosed();
    await this.#opened.order.idle();
    const { sessions, left } = await this.#long<{ sessions: number; left: ErrorDetails[] }>('clearAll', {}, options);
    return { sessions, left: left.map(errorFrom) };
  }

  /**
   * Removes long contents that no message of any session refers to any more; a {@link Workspace.cleanup} that purges sessions does this
   * too. Reads every history. Nothing is removed if a message cannot be read.
   */
  sweepContents(options: LongOptions = {}): Promise<Swept> {
    return this.#long('sweepContents', {}, options);
  }

  /**
   * Reads everything in the store and lists what is damaged. Changes nothing; others may use the store concurrently. To repair damage,
   * close the store and call `repair` of this package, or run `nofx doctor --repair`.
   */
  doctor(options: LongOptions = {}): Promise<Checkup> {
    return this.#long('doctor', {}, options);
  }

  /** Returns the current end of the change feed, to be passed to {@link Workspace.watch} as `after`. */
  cursor(): Promise<string> {
    return this.#ask('eventsEnd', {});
  }

  /**
   * Returns a page of what happened since a cursor, or as far back as the store remembers; the page says whether it reaches the end.
   * {@link Workspace.watch} polls this.
   */
  events(after?: string): Promise<ChangesPage> {
    return this.#ask('events', { after });
  }

  /**
   * Reports what happens, in any window or program, until the loop is left, the signal is given or the workspace is closed.
   */
  watch(options: WatchOptions = {}): AsyncGenerator<Changes, void, void> {
    const start = options.after === undefined ? this.cursor() : Promise.resolve(options.after);
    // A failure is reported to the iterating caller, if there is one.
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
   * Warns half an hour before a session expires and reports when it has expired, including sessions that expired while no program was running,
   * until the loop is left, the signal is given or the workspace is closed. Without a watch, sessions expire all the same.
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
   * Imports the legacy folder of a workspace into this store. The folder is only read.
   *
   * `from` is a `.nofx` folder or the folder that contains one. Migrating again adds only what is new, and an interrupted migration
   * continues where it stopped.
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
   * Opens the store at the same location again and continues with what is there now: after {@link GoneError} when the store is back, after
   * {@link ReplacedError} with what replaced it, and after {@link Workspace.close}. Watches continue, and {@link Workspace.watch} reports a gap.
   *
   * If it cannot be opened, this handle stays unchanged.
   */
  async reopen(): Promise<void> {
    await this.#opened.reopen();
  }

  /**
   * Waits for the calls in flight, at most three seconds, and releases the store. Closing again is not an error. Calls that are still in flight
   * then continue, and closing rejects with `unknown`: they may happen.
   *
   * What was acknowledged is durable in any case, even if the process is killed instead.
   */
  close(): Promise<void> {
    return this.#opened.close();
  }

  /** Makes a call that no other call has to wait for. */
  async #ask<T>(verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#asked(verb, text);
  }

  /** Makes a call that changes things, in the order in which such calls are made. */
  async #change<T>(kind: Kind, which: Which, verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#opened.order.run<T>(kind, which, () => this.#asked(verb, text));
  }

  /** Makes a call that changes a session. Messages that are added later do not join those that were added before. */
  #ofSession<T>(verb: string, request: { session: string; [member: string]: unknown }): Promise<T> {
    this.#lines.messages.close(request.session);
    return this.#change('session', request.session, verb, request);
  }

  /** Makes a call that changes several sessions, after all calls that were made before. */
  async #each<T>(verb: string, request: { sessions: string[]; options?: RestoreOptions }): Promise<SessionResult<T>[]> {
    if (Array.isArray(request.sessions)) {
      request.sessions.forEach((id) => this.#lines.messages.close(id));
    }
    const told: { ok: T; error?: ErrorDetails }[] = await this.#change('session', undefined, verb, request);
    return told.map(({ ok, error }) => (error === undefined ? { ok } : { error: errorFrom(error) }));
  }

  /** Makes a call that reads things, after the changes of them that were requested before. */
  async #read<T>(kind: Kind, which: Which, verb: string, request: object): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    return await this.#opened.order.read<T>(kind, which, () => this.#asked(verb, text));
  }

  /** Makes a call that may take long and can be stopped. */
  async #long<T>(verb: string, request: object, options: LongOptions): Promise<T> {
    const text = written(request);
    this.#opened.refuseIfClosed();
    const ask = (call: Call) => this.#opened.enter(() => this.#handle.askLong(verb, text, call));
    return JSON.parse(await long(options, ask, (call) => call.progress())) as T;
  }

  async #asked<T>(verb: string, text: string): Promise<T> {
    const [answer] = await this.#opened.enter(() => called((answers, call) => this.#handle.ask(answers, call, verb, text)));
    return JSON.parse(answer!) as T;
  }
}

/** The part of a store that a workspace covers. */
interface Scope {
  namespace?: string;
  operation?: string;
}

/** Messages that wait to be added together; those of an operation are those of its namespace. */
interface Lines {
  messages: JoinedCalls;
  orchestration: JoinedCalls;
}

/** The verbs that can belong to a host's operation: those that write one thing, or several all or nothing. */
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

// Node 18.15 does not have this symbol.
if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(Workspace.prototype, Symbol.asyncDispose, { value: Workspace.prototype.close, configurable: true, writable: true });
}
