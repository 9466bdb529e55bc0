/** The stable name of a kind of error. */
export type ErrorCode =
  | 'conflict'
  | 'unavailable'
  | 'unknown'
  | 'corrupt'
  | 'invalid'
  | 'not-found'
  | 'too-new'
  | 'full'
  | 'locked'
  | 'gone'
  | 'replaced'
  | 'closed'
  | 'internal';

/** The details of a failed call. */
export interface ErrorDetails {
  readonly code: ErrorCode;
  readonly message: string;
  readonly nextStep: string;
  readonly transient?: boolean;
  readonly cause?: string;
  readonly holder?: LockHolder;
}

/** The process that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
}

/**
 * Why a call failed. There is a subclass only where a caller would act differently.
 *
 * ```ts
 * try {
 *   await workspace.addMessage(session.id, { type: 'user', content });
 * } catch (error) {
 *   if (error instanceof FullError) keepForLater(content);
 *   else throw error;
 * }
 * ```
 */
export class NofxError extends Error {
  /** The stable name of this kind of error, for switches and logs. */
  readonly code: ErrorCode;
  /** What the caller can do about it, as a short imperative. */
  readonly nextStep: string;
  /** Whether the same call may succeed later without any change. */
  readonly transient: boolean;

  constructor(details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause });
    // Set explicitly, because bundlers shorten the names of classes.
    this.name = NAMES[details.code] ?? 'NofxError';
    this.code = details.code;
    this.nextStep = details.nextStep;
    this.transient = details.transient ?? false;
  }

  /** Returns the same error for another caller, with its own stack. @internal */
  again(): NofxError {
    const { code, message, nextStep, transient, cause } = this;
    const holder = this instanceof LockedError ? this.holder : undefined;
    return new CLASSES[code]({
      code,
      message,
      nextStep,
      transient,
      ...(typeof cause === 'string' && { cause }),
      ...(holder && { holder }),
    });
  }
}

/** The same things kept changing concurrently; nothing was written. Read again and decide again. */
export class ConflictError extends NofxError {}

/** The store cannot be used at the moment; nothing was written. Try again later. */
export class UnavailableError extends NofxError {}

/** The change may or may not have happened. Look, then decide. */
export class UnknownOutcomeError extends NofxError {}

/** Stored bytes are damaged. Everything else stays readable. */
export class CorruptError extends NofxError {}

/** The call can never succeed as it is: correct it. */
export class InvalidError extends NofxError {}

/** What was to be changed does not exist; nothing was written. Reads answer `null` instead. */
export class NotFoundError extends NofxError {}

/** A newer version wrote this; it is left unchanged. */
export class TooNewError extends NofxError {}

/** The disk is full; nothing was written. Keep the item, free some space, try again. */
export class FullError extends NofxError {}

/** Another process holds the store. */
export class LockedError extends NofxError {
  /** The holder, if known. */
  readonly holder: LockHolder | undefined;

  constructor(details: ErrorDetails) {
    super(details);
    this.holder = details.holder;
  }
}

/** The store was moved or removed while it was open; nothing was written. Put it back, then open it again. */
export class GoneError extends NofxError {}

/** Another store or copy was put in the store's place; nothing was written. Open it again to use what is there now. */
export class ReplacedError extends NofxError {}

/** This workspace was closed. Open it again. */
export class ClosedError extends NofxError {
  constructor(details?: ErrorDetails) {
    super(details ?? { code: 'closed', message: 'the store is closed', nextStep: 'open the store again' });
  }
}

/** A bug in the addon: a panic was caught, and the process continues. */
export class InternalError extends NofxError {}

const NAMES: Record<ErrorCode, string> = {
  conflict: 'ConflictError',
  unavailable: 'UnavailableError',
  unknown: 'UnknownOutcomeError',
  corrupt: 'CorruptError',
  invalid: 'InvalidError',
  'not-found': 'NotFoundError',
  'too-new': 'TooNewError',
  full: 'FullError',
  locked: 'LockedError',
  gone: 'GoneError',
  replaced: 'ReplacedError',
  closed: 'ClosedError',
  internal: 'InternalError',
};

const CLASSES: Record<ErrorCode, new (details: ErrorDetails) => NofxError> = {
  conflict: ConflictError,
  unavailable: UnavailableError,
  unknown: UnknownOutcomeError,
  corrupt: CorruptError,
  invalid: InvalidError,
  'not-found': NotFoundError,
  'too-new': TooNewError,
  full: FullError,
  locked: LockedError,
  gone: GoneError,
  replaced: ReplacedError,
  closed: ClosedError,
  internal: InternalError,
};

/** Returns the error that the addon reported as JSON in a message. @internal */
export function errorOf(rejection: unknown): unknown {
  // Recognised by its shape: under Jest, in a `vm` context or in a frame, the addon rejects with an `Error` of another realm.
  const text: unknown = (rejection as { message?: unknown } | null | undefined)?.message;
  if (typeof text !== 'string' || !text.startsWith('{')) {
    return rejection;
  }
  const error = errorFrom(JSON.parse(text) as ErrorDetails);
  // An error from another thread has no stack of its own; the caller's stack is the useful one.
  Error.captureStackTrace(error, errorOf);
  return error;
}

/** Creates the error that the addon reported. @internal */
export function errorFrom(details: ErrorDetails): NofxError {
  return new (CLASSES[details.code] ?? NofxError)(details);
}
