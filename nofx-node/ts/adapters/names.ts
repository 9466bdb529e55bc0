import { createHash } from 'node:crypto';

/** The longest part of an id as it is. An id has at most 512 bytes, and a few parts. */
const LONGEST = 96;

/**
 * Joins texts to an id, so that ids whose first parts are equal have a common prefix, which ends with a slash, and others have none. A long text
 * is its digest.
 *
 * @internal
 */
export function joined(...texts: string[]): string {
  return texts.map(part).join('/');
}

function part(text: string): string {
  // A digest begins with what no other part begins with.
  const written = encodeURIComponent(text).replace(/^~/, '%7E');
  return written.length <= LONGEST ? written : `~${createHash('sha256').update(text).digest('hex')}`;
}
