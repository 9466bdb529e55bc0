import type { Session } from './entities';
import { pause } from './watch';

/** How to watch for sessions that end. */
export interface ExpiryOptions {
  /** Ends the watch. */
  signal?: AbortSignal;
  /** How often to look at the latest, for sessions that other programs begin or resume; otherwise every 30 seconds. */
  intervalMs?: number;
}

/** Something that the clock did to a session. */
export interface ExpiryEvent {
  /**
   * `session.expiry.warning`: it ends within half an hour; told once by each watch. `session.expired`: it has ended, perhaps while no
   * program was running; told once for the store.
   */
  type: 'session.expiry.warning' | 'session.expired' | (string & {});
  /** The session as it then is. */
  session: Session;
}

/** What the addon answers. @internal */
export interface ExpiryPage {
  events: ExpiryEvent[];
  nextDueMs: number | null;
}

/** Asks when something is due, until it is answered nothing. @internal */
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
