/** How to watch. */
export interface WatchOptions {
  /** From where on; otherwise from the call of `watch` on. */
  after?: string;
  /** Ends the watch. */
  signal?: AbortSignal;
  /** How often to look; otherwise every 250 milliseconds. */
  intervalMs?: number;
}

/** What happened. Later versions may tell more. */
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

/** Something that happened. */
export interface WorkspaceEvent {
  /** What. */
  type: EventType;
  /** The id of the session that it happened to. */
  session?: string;
  /** The id of the agent that it happened to, if it concerns no session. */
  agent?: string;
  /** The id of the task that it happened to. */
  task?: string;
  /** How many messages are left, of a session that was rewound. */
  length?: number;
}

/** What happened between two looks, by whichever window or program. */
export interface Changes {
  /** What happened, in order. */
  events: WorkspaceEvent[];
  /** Where this ends: to be kept, and given as `after` to go on from here, also next week. */
  cursor: string;
  /** More has happened than the store remembers: look at everything again. */
  gap: boolean;
}

/** A page of what happened. */
export interface ChangesPage extends Changes {
  /** Whether nothing more has happened by now. */
  atEnd: boolean;
}

/** Asks again and again, until it is answered nothing. @internal */
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

/** Waits, or until the signal is given. @internal */
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
