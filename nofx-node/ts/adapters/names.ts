import { createHash } from 'node:crypto';

/** The longest part of an id that is used unchanged. An id has at most 512 bytes, and a few parts. */
const LONGEST = 96;

/**
 * Joins texts to an id, so that ids with equal first parts share a prefix, which ends with a slash, and others do not. A long text
 * is replaced by its digest.
 *
 * @internal
 */
export function joined(...texts: string[]): string {
  return texts.map(part).join('/');
}

function part(text: string): string {
  // A digest begins with a character that no other part begins with.
  const written = encodeURIComponent(text).replace(/^~/, '%7E');
  return written.length <= LONGEST ? written : `~${createHash('sha256').update(text).digest('hex')}`;
}
