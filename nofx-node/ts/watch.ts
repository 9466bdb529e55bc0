/** How to watch. */
export interface WatchOptions {
  /** From where on; otherwise from the call of `watch` on. */
  after?: string;
  /** Ends the watch. */
  signal?: AbortSignal;
  /** How often to look; otherwise every 250 milliseconds. */
  intervalMs?: number;
}

/** What changed, by whichever window or program. */
export interface ChangeEvent {
  /** Where this event ends: to be kept, and given as `after` to go on from here, also next week. */
  cursor: string;
  /** Too much has happened to tell: look at everything again. */
  gap: boolean;
  /** The sessions of which a record, a message or a task changed, each once. */
  sessions: string[];
  /** The agents of which something changed, each once. */
  agents: string[];
}

/** What the addon answers. @internal */
export interface Changes extends ChangeEvent {
  commits: number;
}

/** Asks again and again. @internal */
export async function* watch(
  ask: (after: string) => Promise<Changes | undefined>,
  start: Promise<string>,
  { signal, intervalMs = 250 }: WatchOptions,
): AsyncGenerator<ChangeEvent, void, void> {
  let cursor = await start;
  while (!signal?.aborted) {
    const changes = await ask(cursor);
    if (changes === undefined) {
      return;
    }
    const { commits, ...event } = changes;
    cursor = event.cursor;
    if (event.gap || event.sessions.length > 0 || event.agents.length > 0) {
      yield event;
    }
    if (event.gap || commits === 0) {
      await pause(intervalMs, signal);
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
  });
}
