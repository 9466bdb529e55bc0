import { InvalidError, NotFoundError } from './errors';

/** Creates the error for an argument that can never be valid. @internal */
export function invalid(what: string): InvalidError {
  return new InvalidError({ code: 'invalid', message: `invalid: ${what}`, nextStep: 'correct the request' });
}

/** Creates the error for a call on something that does not exist. @internal */
export function notFound(what: string): NotFoundError {
  const nextStep = 'check the id against what the store lists; nothing was written';
  return new NotFoundError({ code: 'not-found', message: `not found: ${what}`, nextStep });
}
