import { invalid } from './own-errors';

/**
 * Writes a request as JSON, immediately: changes that the caller makes while waiting are not part of it. Names the member that cannot be written.
 *
 * @internal
 */
export function written(request: object): string {
  if (typeof request !== 'object' || request === null) {
    throw invalid(`the argument is ${String(request)}, not an object`);
  }
  refuseUnsayable(request);
  if ('options' in request && typeof request.options === 'object' && request.options !== null) {
    refuseUnsayable(request.options);
  }
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
    throw invalid('the argument changed while it was read');
  }
}

/** Refuses what JSON would omit or write as `null`, as that would mean something else. */
function refuseUnsayable(request: object): void {
  for (const [name, value] of Object.entries(request)) {
    const isLeftOut = typeof value === 'function' || typeof value === 'symbol';
    const isNull = typeof value === 'number' ? !Number.isFinite(value) : isDate(value) && Number.isNaN(Number(value));
    if (isLeftOut || isNull) {
      throw invalid(`\`${name}\` is ${String(value)}, which cannot be written as JSON`);
    }
  }
}

/** Recognised by its shape: a date may come from another realm. */
function isDate(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Date]';
}

/** Returns the first line of an error's message: if the argument contains itself, the other lines draw the cycle. */
function reason(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n')[0] ?? '';
}
