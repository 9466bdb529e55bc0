import type { Handle } from './addon';
import { ClosedError, errorOf } from './errors';
import { Gate } from './gate';
import { Order } from './order';
import type { Workspace } from './workspace';

/** How many calls may be inside the addon at once; the others wait here. */
const CALLS_AT_ONCE = 256;

/**
 * How long closing waits at most. An editor kills an extension that takes five seconds; three are promised, and what is missing to
 * them is for a busy machine on which timers are late.
 */
const CLOSE_WAIT_MS = 2400;

/**
 * An open store, which the workspaces of its namespaces and operations share: how the addon is called, in which order, and until when.
 *
 * @internal
 */
export class Opened {
  readonly order = new Order();
  /** Those that were asked for: calls on one namespace share commits. */
  readonly namespaces = new Map<string, Workspace>();
  readonly #openAgain: () => Promise<Handle>;
  #handle: Handle;
  readonly #gate = new Gate(CALLS_AT_ONCE);
  #closing: Promise<void> | undefined;

  constructor(openAgain: () => Promise<Handle>, handle: Handle) {
    this.#openAgain = openAgain;
    this.#handle = handle;
  }

  /** Another one after the store was opened again. */
  get handle(): Handle {
    return this.#handle;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws if the store was closed. A call that only waits for its turn then is carried out. */
  refuseIfClosed(): void {
    if (this.isClosed) {
      throw new ClosedError();
    }
  }

  /** Goes into the addon when there is room. */
  async enter<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#gate.enter();
    if (turn !== undefined) {
      await turn;
    }
    try {
      return await call();
    } catch (rejection) {
      throw errorOf(rejection);
    } finally {
      this.#gate.leave();
    }
  }

  async reopen(): Promise<void> {
    const before = this.#handle;
    const next = await this.#openAgain().catch((rejection: unknown) => {
      throw errorOf(rejection);
    });
    this.#handle = next;
    this.#closing = undefined;
    // Whatever it says: what it held is gone or belongs to another store.
    await before.close(CLOSE_WAIT_MS).catch(() => undefined);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const started = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_WAIT_MS / 2)));
    await Promise.race([this.order.idle().then(() => this.#gate.idle()), patience]);
    clearTimeout(timer);
    const left = Math.max(0, CLOSE_WAIT_MS - (performance.now() - started));
    try {
      await this.#handle.close(Math.round(left));
    } catch (rejection) {
      throw errorOf(rejection);
    }
  }
}
