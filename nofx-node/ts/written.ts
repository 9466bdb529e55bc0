import { InvalidError, NotFoundError } from './errors';

/**
 * Writes a question as JSON, now: what the caller changes while it waits is not part of it. Names the member that cannot be written.
 *
 * @internal
 */
export function written(request: object): string {
  try {
    return JSON.stringify(request);
  } catch {
    for (const [name, value] of Object.entries(request)) {
      try {
        JSON.stringify(value);
      } catch (error) {
        throw invalid(`\`${name}\` cannot be written as JSON: ${reason(error)}`);
      }
    }
    throw invalid('what is asked for changes while it is read');
  }
}

/** The first line: the others draw the circle. */
function reason(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n')[0] ?? '';
}

/** Makes the error for an argument that can never work. @internal */
export function invalid(what: string): InvalidError {
  return new InvalidError({ code: 'invalid', message: `invalid: ${what}`, nextStep: 'correct what was asked for' });
}

/** Makes the error for a call on something that is not there. */
export function notFound(what: string): NotFoundError {
  const nextStep = 'look for it in the list; nothing was written';
  return new NotFoundError({ code: 'not-found', message: `not found: ${what}`, nextStep });
}
