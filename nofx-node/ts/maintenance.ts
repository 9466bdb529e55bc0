import { errorOf } from './errors';
import { addon } from './native';
import { written } from './requests';

/** The repairs that were made, and those that would lose something. */
export interface Repaired {
  /** What was done, in order. Nothing unreadable was overwritten or removed. */
  repairs: Repair[];
  /** What was left unrepaired, because a repair would lose data. Empty if the repair was allowed to give that up. */
  losses: Loss[];
}

/** A repair that was made. */
export interface Repair {
  /** The thing: a file of the store, an object, a record. */
  thing: string;
  /** What was wrong with it, and what was done about it. */
  what: string;
  /** Where it, or the unreadable part of it, is kept now. */
  aside: string | null;
}

/** Something that a repair would lose. */
export interface Loss {
  /** The thing: a file of the store, an object, a record. */
  thing: string;
  /** What is wrong with it, and what would be lost. */
  what: string;
}

/** Options of a repair. */
export interface RepairOptions {
  /** Whether to give up what cannot be kept, which a person has to decide. Otherwise it is left alone and listed in `losses`. */
  givesUp?: boolean;
}

/**
 * Repairs the store at a location as far as that is possible without inventing anything, and reports what was done. Call it while no
 * program has the store open. {@link Workspace.doctor} lists what is damaged.
 */
export async function repair(location: string, options: RepairOptions = {}): Promise<Repaired> {
  return JSON.parse(await told(addon.repair(location, written(options)))) as Repaired;
}

/**
 * Gives up records that cannot be read: the store no longer lists them. Either all of them or none, and nothing else: logs with the same id are
 * kept. Rejects with {@link InvalidError} for a record that can be read, or that the store does not list.
 */
export async function forget(location: string, records: { kind: string; id: string }[]): Promise<Repair[]> {
  return JSON.parse(await told(addon.forget(location, written({ records })))) as Repair[];
}

/**
 * Compacts the store at a location, which is worth it after it was filled or much was removed; returns whether this kind of store can be compacted.
 * Takes up to the time of rewriting the store; the store may be open.
 */
export async function compact(location: string): Promise<boolean> {
  return await told(addon.compact(location));
}

async function told<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (rejection) {
    throw errorOf(rejection);
  }
}
