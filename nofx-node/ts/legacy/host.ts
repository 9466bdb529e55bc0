import type { NofxError } from '../index';
import type { LegacySession } from './shapes';

/** Where the services log. */
export interface Log {
  debug(message: string, data?: unknown): void;
  info(message: string, data?: unknown): void;
  warn(message: string, data?: unknown): void;
  error(message: string, data?: unknown): void;
}

/** The bus on which the old services published events. */
export interface Bus {
  publish(event: string, data?: unknown): void;
}

/** What the host provides. Everything is optional. */
export interface Host {
  /** Gets what the services do, and what they could not do. */
  log?: Log;
  /** Gets the events of the old services, with their names and payloads, once the change is durable. */
  bus?: Bus;
  /** Called when a session has expired; answers what the user chose. */
  onExpired?(session: LegacySession): Promise<'restore' | 'archive' | undefined>;
  /** The git branch to record in a new session. */
  gitBranch?(folder: string): Promise<string | undefined>;
  /** Called once if the store cannot be written (locked, read-only, newer version): the services then store nothing and say so. */
  onUnavailable?(error: NofxError): void;
}

/** The limit on messages between agents in the old configuration. */
export interface OldConfiguration {
  getOrchestrationHistoryLimit(): number;
}

/** What the host provides, wrapped so that an error of the host never becomes one of the services. @internal */
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
      this.error('The store cannot be written: nothing is stored', error);
      this.#guarded(() => this.#host.onUnavailable?.(error));
    }
  }

  /** Returns what the user wants done with an expired session. */
  async expired(session: LegacySession): Promise<'restore' | 'archive' | undefined> {
    try {
      return await this.#host.onExpired?.(session);
    } catch (error) {
      this.error(`Cannot ask the user about session ${session.id}`, error);
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
      this.warn('The git branch is not known', error);
      return undefined;
    }
  }

  #guarded(tell: () => void): void {
    try {
      tell();
    } catch {
      // If the host's own log fails, there is nowhere to report it.
    }
  }
}
