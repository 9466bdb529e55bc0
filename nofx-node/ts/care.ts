import { errorOf } from './errors';
import { addon } from './native';
import { written } from './written';

/** What a repair did, and what it could only do by giving something up. */
export interface Repaired {
  /** What was done, in order. Nothing that cannot be read was overwritten or removed. */
  repairs: Repair[];
  /** What was left as it is, because more would be lost. Empty if the repair was told to give it up. */
  losses: Loss[];
}

/** Something that a repair did. */
export interface Repair {
  /** The thing: a file of the store, an object, a record. */
  thing: string;
  /** What was wrong with it, and what was done about it. */
  what: string;
  /** Where it, or what could not be read of it, is kept now. */
  aside: string | null;
}

/** Something that a repair would give up. */
export interface Loss {
  /** The thing: a file of the store, an object, a record. */
  thing: string;
  /** What is wrong with it, and what would be lost. */
  what: string;
}

/** How to repair. */
export interface RepairOptions {
  /** Whether what cannot be kept is given up, which a person has to decide. Otherwise it is left, and said in `losses`. */
  givesUp?: boolean;
}

/**
 * Repairs the store at a location as far as that is possible without inventing anything, and says what was done. To be called while no
 * program has the store open. {@link Workspace.doctor} lists what is damaged.
 */
export async function repair(location: string, options: RepairOptions = {}): Promise<Repaired> {
  return JSON.parse(await told(addon.repair(location, written(options)))) as Repaired;
}

/**
 * Gives up records that cannot be read: the store lists them no more. All of them, or none, and nothing else: not the logs of the same id.
 * Rejects with {@link InvalidError} for a record that can be read, or that the store does not list.
 */
export async function forget(location: string, records: { kind: string; id: string }[]): Promise<Repair[]> {
  return JSON.parse(await told(addon.forget(location, written({ records })))) as Repair[];
}

/**
 * Makes the store at a location small, which pays after it was filled or much was removed; returns whether there was something to do. Takes up
 * to the time of rewriting the store; the store may be open.
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
