/** Options of a watch. */
export interface WatchOptions {
  /** Where to start; by default with the call of `watch`. */
  after?: string;
  /** Ends the watch. */
  signal?: AbortSignal;
  /** How often to check; every 250 milliseconds by default. */
  intervalMs?: number;
}

/** The kind of an event. Later versions may add more. */
export type EventType =
  | 'session.created'
  | 'session.changed'
  | 'session.paused'
  | 'session.resumed'
  | 'session.expired'
  | 'session.archived'
  | 'session.restored'
  | 'session.rewound'
  | 'session.deleted'
  | 'session.undeleted'
  | 'session.purged'
  | 'session.message.added'
  | 'session.task.started'
  | 'session.task.completed'
  | 'session.task.failed'
  | 'session.task.interrupted'
  | 'agent.changed'
  | 'orchestration.message.persisted'
  | 'storage.cleanup'
  | (string & {});

/** An event. */
export interface WorkspaceEvent {
  /** Its kind. */
  type: EventType;
  /** The id of the session it concerns. */
  session?: string;
  /** The id of the agent it concerns, if it concerns no session. */
  agent?: string;
  /** The id of the task it concerns. */
  task?: string;
  /** How many messages are left, if a session was rewound. */
  length?: number;
}

/** What happened between two checks, in any window or program. */
export interface Changes {
  /** The events, in order. */
  events: WorkspaceEvent[];
  /** Where this ends: store it, and pass it as `after` to continue from here, even next week. */
  cursor: string;
  /** More has happened than the store remembers: read everything again. */
  gap: boolean;
}

/** A page of events. */
export interface ChangesPage extends Changes {
  /** Whether this page reaches the present. */
  atEnd: boolean;
}

/** Polls until it gets no answer. @internal */
export async function* watch(
  ask: (after: string) => Promise<ChangesPage | undefined>,
  start: Promise<string>,
  { signal, intervalMs = 250 }: WatchOptions,
): AsyncGenerator<Changes, void, void> {
  let cursor = await start;
  while (!signal?.aborted) {
    const page = await ask(cursor);
    if (page === undefined) {
      return;
    }
    const { atEnd, ...changes } = page;
    cursor = changes.cursor;
    if (changes.gap || changes.events.length > 0) {
      yield changes;
    }
    if (atEnd) {
      await pause(intervalMs, signal);
    }
  }
}

/** Waits for a time or until the signal is given. @internal */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
  });
}
