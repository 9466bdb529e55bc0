/**
 * A `SessionStore` of the Claude Agent SDK that stores its transcripts in a NofX store.
 *
 * ```ts
 * import { foldSessionSummary, query } from '@anthropic-ai/claude-agent-sdk';
 * import { open } from 'nofx-node';
 * import { NofxSessionStore } from 'nofx-node/adapters/claude';
 *
 * const workspace = await open('redb:.nofx/store/nofx.redb');
 * const sessionStore = new NofxSessionStore(workspace, { foldSessionSummary });
 * query({ prompt, options: { sessionStore } });
 * ```
 *
 * @packageDocumentation
 */

import { randomUUID } from 'node:crypto';
import { ConflictError, CorruptError, type OwnRecord, type RecordName, type Records, type Workspace } from '../index';
import { joined } from './names';

/** Identifies a transcript, as the SDK does: that of a session, or with `subpath` one below it. */
export interface SessionKey {
  projectKey: string;
  sessionId: string;
  subpath?: string;
}

/** An entry of a transcript, as the SDK passes it. */
export interface SessionStoreEntry {
  type: string;
  uuid?: string;
  timestamp?: string;
  [member: string]: unknown;
}

/** What the SDK knows about a session without reading it. */
export interface SessionSummaryEntry {
  sessionId: string;
  mtime: number;
  data: Record<string, unknown>;
}

/** The SDK's function of this name. */
export type FoldSessionSummary = (
  before: SessionSummaryEntry | undefined,
  key: SessionKey,
  entries: SessionStoreEntry[],
  options?: { mtime?: number },
) => SessionSummaryEntry;

/** Options of the session store. */
export interface SessionStoreOptions {
  /** The SDK's function of this name. With it, sessions are listed with one read; without it, the SDK reads each transcript for that. */
  foldSessionSummary?: FoldSessionSummary;
  /** The name of the records; `claude` by default. Stores with different names do not see each other's data. */
  name?: string;
}

/** The record of a transcript. Its entries are in a log of their own, which is never reused once the transcript is deleted. */
interface Transcript {
  key: SessionKey;
  log: string;
  mtime: number;
  summary?: Record<string, unknown>;
}

/** A transcript as this process last saw it. */
interface Seen {
  version: number;
  transcript: Transcript;
  /** The ids of the entries up to `length`. */
  uuids: Set<string>;
  length: number;
}

/** For how many transcripts the ids of their entries are cached. */
const REMEMBERED = 32;

/**
 * Stores each transcript as a log, with a record that changes in the same commit. An entry with a `uuid` is stored once, however
 * often and by whichever process it is appended.
 */
export class NofxSessionStore {
  /** Lists the summaries of all sessions of a project; only defined if the SDK's function was passed. */
  declare listSessionSummaries?: (projectKey: string) => Promise<SessionSummaryEntry[]>;

  readonly #records: Records;
  readonly #fold: FoldSessionSummary | undefined;
  /** Most recently used last. */
  readonly #seen = new Map<string, Seen>();
  /** The end of the last call that appends to each transcript. */
  readonly #last = new Map<string, Promise<void>>();

  constructor(workspace: Workspace, { foldSessionSummary, name = 'claude' }: SessionStoreOptions = {}) {
    this.#records = workspace.records(name);
    this.#fold = foldSessionSummary;
    if (foldSessionSummary !== undefined) {
      this.listSessionSummaries = (project) => this.#summaries(project);
    }
  }

  append(key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    const id = idOf(key);
    const appended = (this.#last.get(id) ?? Promise.resolve()).then(() => this.#append(id, key, entries));
    const ended: Promise<void> = appended
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(id) === ended) {
          this.#last.delete(id);
        }
      });
    this.#last.set(id, ended);
    return appended;
  }

  async load(key: SessionKey): Promise<SessionStoreEntry[] | null> {
    const found = await this.#records.get<Transcript>('transcript', idOf(key));
    return found && this.#entries(found.body, 0);
  }

  async listSessions(projectKey: string): Promise<{ sessionId: string; mtime: number }[]> {
    const all = await this.#below(joined(projectKey));
    const sessions = all.filter(({ body }) => body.key.subpath === undefined);
    return sessions.map(({ body }) => ({ sessionId: body.key.sessionId, mtime: body.mtime }));
  }

  async listSubkeys({ projectKey, sessionId }: { projectKey: string; sessionId: string }): Promise<string[]> {
    const all = await this.#below(joined(projectKey, sessionId));
    return all.flatMap(({ body }) => body.key.subpath ?? []);
  }

  /** Deletes a transcript permanently; for a session's, also all below it, in one commit. */
  async delete(key: SessionKey): Promise<void> {
    const isBelow = key.subpath !== undefined;
    await this.#last.get(idOf(key));
    const one = async () => [await this.#records.get<Transcript>('transcript', idOf(key))].filter((found) => found !== null);
    await untilNoConflict(async () => {
      const gone = isBelow ? await one() : await this.#below(joined(key.projectKey, key.sessionId));
      gone.forEach(({ id }) => this.#seen.delete(id));
      if (gone.length > 0) {
        await this.#records.commit({
          delete: gone.map(({ kind, id, version }) => ({ kind, id, expect: version })),
          remove: gone.map(({ body }) => logOf(body)),
        });
      }
    });
  }

  async #summaries(projectKey: string): Promise<SessionSummaryEntry[]> {
    const all = await this.#below(joined(projectKey));
    return all.flatMap(({ body: { key, mtime, summary } }) =>
      summary === undefined ? [] : [{ sessionId: key.sessionId, mtime, data: summary }],
    );
  }

  async #append(id: string, key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    if (entries.length === 0) {
      return;
    }
    await untilNoConflict(async () => {
      const seen = await this.#look(id);
      // A repeated entry may also be in one call twice.
      const uuids = new Set(seen?.uuids);
      const fresh = entries.filter(({ uuid }) => uuid === undefined || (!uuids.has(uuid) && uuids.add(uuid)));
      if (seen !== undefined && fresh.length === 0) {
        return;
      }
      const transcript = this.#grown(seen?.transcript, key, fresh);
      const { version } = await this.#records.commit({
        put: [{ kind: 'transcript', id, body: transcript, expect: seen?.version ?? 'absent' }],
        append: [{ ...logOf(transcript), entries: fresh.map((body) => ({ body })) }],
      });
      const length = (seen?.length ?? 0) + fresh.length;
      this.#remember(id, { version: version ?? 0, transcript, uuids, length });
    });
  }

  #grown(before: Transcript | undefined, key: SessionKey, entries: SessionStoreEntry[]): Transcript {
    // It never goes back, so that what was listed before is not newer than what is there.
    const mtime = Math.max(Date.now(), before?.mtime ?? 0);
    const transcript = { key, log: before?.log ?? randomUUID(), mtime };
    if (this.#fold === undefined || key.subpath !== undefined) {
      return transcript;
    }
    const summary = before?.summary && { sessionId: key.sessionId, mtime: before.mtime, data: before.summary };
    return { ...transcript, summary: this.#fold(summary, key, entries, { mtime }).data };
  }

  /** Returns a transcript in its current state, with the ids of its entries. Only entries that were not seen before are read. */
  async #look(id: string): Promise<Seen | undefined> {
    const found = await this.#records.get<Transcript>('transcript', id);
    if (found === null) {
      return undefined;
    }
    const { version, body: transcript } = found;
    const before = this.#seen.get(id);
    if (before?.version === version) {
      return before;
    }
    const known = before?.transcript.log === transcript.log ? before : undefined;
    const entries = await this.#entries(transcript, known?.length ?? 0);
    const uuids = new Set([...(known?.uuids ?? []), ...entries.flatMap(({ uuid }) => uuid ?? [])]);
    const seen = { version, transcript, uuids, length: (known?.length ?? 0) + entries.length };
    this.#remember(id, seen);
    return seen;
  }

  #remember(id: string, seen: Seen): void {
    this.#seen.delete(id);
    this.#seen.set(id, seen);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > REMEMBERED && oldest !== undefined) {
      this.#seen.delete(oldest);
    }
  }

  async #entries(transcript: Transcript, from: number): Promise<SessionStoreEntry[]> {
    const { kind, id } = logOf(transcript);
    const entries = await this.#records.read<SessionStoreEntry>(kind, id, { from }).all();
    return entries.map(readable);
  }

  /** Returns the transcripts whose ids begin with a text. */
  async #below(prefix: string): Promise<OwnRecord<Transcript>[]> {
    const found = await this.#records.scan<Transcript>({ kind: 'transcript', prefix: `${prefix}/` }).all();
    found.forEach(readable);
    return found;
  }
}

function idOf({ projectKey, sessionId, subpath = '' }: SessionKey): string {
  return joined(projectKey, sessionId, subpath);
}

function logOf({ log }: Transcript): RecordName {
  return { kind: 'entries', id: log };
}

/** Retries as long as other writers are first. */
async function untilNoConflict(act: () => Promise<void>): Promise<void> {
  while (true) {
    try {
      await act();
      return;
    } catch (error) {
      if (!(error instanceof ConflictError)) {
        throw error;
      }
    }
  }
}

/** Returns the content of an item; throws if it cannot be read: a transcript with a hole cannot be resumed. */
function readable<T>({ body, unreadable }: { body: T; unreadable?: string }): T {
  if (unreadable !== undefined) {
    throw new CorruptError({ code: 'corrupt', message: unreadable, nextStep: 'restore a backup, or run nofx doctor' });
  }
  return body;
}
