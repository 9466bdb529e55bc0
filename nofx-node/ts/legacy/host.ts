import type { NofxError } from '../index';
import type { LegacySession } from './shapes';

/** Where the services say what they do. */
export interface Log {
  debug(message: string, data?: unknown): void;
  info(message: string, data?: unknown): void;
  warn(message: string, data?: unknown): void;
  error(message: string, data?: unknown): void;
}

/** The bus on which the old services told what they had done. */
export interface Bus {
  publish(event: string, data?: unknown): void;
}

/** What the host offers. Everything may be left out. */
export interface Host {
  /** Is told what the services do, and what they could not do. */
  log?: Log;
  /** Is given the events of the old services, by their names and with their payloads, after the change is durable. */
  bus?: Bus;
  /** Asked when a session has ended; answers what the person chose. */
  onExpired?(session: LegacySession): Promise<'restore' | 'archive' | undefined>;
  /** The branch to be noted in a new session. */
  gitBranch?(folder: string): Promise<string | undefined>;
  /** Is told once that the store cannot be written (locked, read-only, newer version): the services then keep nothing and say so. */
  onUnavailable?(error: NofxError): void;
}

/** The limit of messages between agents that the old configuration had. */
export interface OldConfiguration {
  getOrchestrationHistoryLimit(): number;
}

/** What the host offers, so that a fault of its own is never one of the services. @internal */
export class Told {
  readonly #host: Host;
  #unavailable = false;

  constructor(host: Host) {
    this.#host = host;
  }

  debug(message: string, data?: unknown): void {
    this.#guarded(() => this.#host.log?.debug(message, data));
  }

  info(message: string, data?: unknown): void {
    this.#guarded(() => this.#host.log?.info(message, data));
  }

  warn(message: string, data?: unknown): void {
    this.#guarded(() => this.#host.log?.warn(message, data));
  }

  error(message: string, error: unknown): void {
    this.#guarded(() => this.#host.log?.error(message, error));
  }

  publish(event: string, data: object): void {
    try {
      this.#host.bus?.publish(event, data);
    } catch (error) {
      this.error(`A listener of ${event} failed`, error);
    }
  }

  unavailable(error: NofxError): void {
    if (!this.#unavailable) {
      this.#unavailable = true;
      this.error('The store cannot be written: nothing is kept', error);
      this.#guarded(() => this.#host.onUnavailable?.(error));
    }
  }

  /** Returns what the person wants done with a session that has ended. */
  async expired(session: LegacySession): Promise<'restore' | 'archive' | undefined> {
    try {
      return await this.#host.onExpired?.(session);
    } catch (error) {
      this.error(`The person could not be asked about session ${session.id}`, error);
      return undefined;
    }
  }

  get asks(): boolean {
    return this.#host.onExpired !== undefined;
  }

  async gitBranch(folder: string | undefined): Promise<string | undefined> {
    if (folder === undefined) {
      return undefined;
    }
    try {
      return (await this.#host.gitBranch?.(folder)) || undefined;
    } catch (error) {
      this.warn('The branch is not known', error);
      return undefined;
    }
  }

  #guarded(tell: () => void): void {
    try {
      tell();
    } catch {
      // A host that cannot be told is not told.
    }
  }
}
