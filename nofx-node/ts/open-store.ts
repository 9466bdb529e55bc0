import type { Handle } from './addon';
import { CallLimit } from './call-limit';
import { ClosedError, errorOf } from './errors';
import { Order } from './order';
import type { Workspace } from './workspace';

/** How many calls may be inside the addon at a time; the others wait. */
const CALLS_AT_ONCE = 256;

/**
 * The longest wait on close. An editor kills an extension that takes five seconds; three are promised, and the remainder
 * is for a busy machine on which timers are late.
 */
const CLOSE_WAIT_MS = 2400;

/**
 * An open store, shared by the workspaces of its namespaces and operations: how the addon is called, in which order, and until when.
 *
 * @internal
 */
export class OpenStore {
  readonly order = new Order();
  /** The namespaces in use, by name: calls on one namespace share commits. */
  readonly namespaces = new Map<string, Workspace>();
  readonly #openAgain: () => Promise<Handle>;
  #handle: Handle;
  readonly #limit = new CallLimit(CALLS_AT_ONCE);
  #closing: Promise<void> | undefined;

  constructor(openAgain: () => Promise<Handle>, handle: Handle) {
    this.#openAgain = openAgain;
    this.#handle = handle;
  }

  /** The addon's handle; replaced when the store is opened again. */
  get handle(): Handle {
    return this.#handle;
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws if the store was closed. A call that is only waiting for its turn at that time is still carried out. */
  refuseIfClosed(): void {
    if (this.isClosed) {
      throw new ClosedError();
    }
  }

  /** Calls the addon when there is a free slot. */
  async enter<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#limit.enter();
    if (turn !== undefined) {
      await turn;
    }
    try {
      return await call();
    } catch (rejection) {
      throw errorOf(rejection);
    } finally {
      this.#limit.leave();
    }
  }

  async reopen(): Promise<void> {
    const before = this.#handle;
    const next = await this.#openAgain().catch((rejection: unknown) => {
      throw errorOf(rejection);
    });
    this.#handle = next;
    this.#closing = undefined;
    // Its result does not matter: what it held is gone or belongs to another store.
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
    await Promise.race([this.order.idle().then(() => this.#limit.idle()), patience]);
    clearTimeout(timer);
    const left = Math.max(0, CLOSE_WAIT_MS - (performance.now() - started));
    try {
      await this.#handle.close(Math.round(left));
    } catch (rejection) {
      throw errorOf(rejection);
    }
  }
}
