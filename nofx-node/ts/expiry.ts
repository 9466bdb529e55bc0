import type { Session } from './entities';
import { pause } from './watch';

/** Options of an expiry watch. */
export interface ExpiryOptions {
  /** Ends the watch. */
  signal?: AbortSignal;
  /** The longest time between two checks, for sessions that other programs create or resume; 30 seconds by default. */
  intervalMs?: number;
}

/** An expiry event of a session. */
export interface ExpiryEvent {
  /**
   * `session.expiry.warning`: it expires within half an hour; reported once by each watch. `session.expired`: it has expired, perhaps while no
   * program was running; reported once per store.
   */
  type: 'session.expiry.warning' | 'session.expired' | (string & {});
  /** The session at that time. */
  session: Session;
}

/** The addon's answer. @internal */
export interface ExpiryPage {
  events: ExpiryEvent[];
  nextDueMs: number | null;
}

/** Polls when something is due, until it gets no answer. @internal */
export async function* expiries(
  ask: () => Promise<ExpiryPage | undefined>,
  { signal, intervalMs = 30_000 }: ExpiryOptions,
): AsyncGenerator<ExpiryEvent, void, void> {
  while (!signal?.aborted) {
    const page = await ask();
    if (page === undefined) {
      return;
    }
    yield* page.events;
    await pause(Math.min(intervalMs, page.nextDueMs ?? intervalMs), signal);
  }
}
