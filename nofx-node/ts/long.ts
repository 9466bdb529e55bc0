import type { Call } from './addon';
import { addon } from './native';

/** How often it is told how far something is. */
const PROGRESS_MS = 100;

/** How to do what may take long. */
export interface LongOptions {
  /** Stops it: the call rejects with the signal's reason, and what was committed stays. */
  signal?: AbortSignal;
  /** Is told how far it is, ten times a second and at the end. If it throws, the call is stopped and rejects with what was thrown. */
  onProgress?: (progress: Progress) => void;
}

/** How far something is that takes long. */
export interface Progress {
  /** What is being done, such as `searching`; empty before it has begun. */
  phase: string;
  /** How many things are done of it: sessions, records or messages. */
  done: number;
  /** How many there are in all; `null` where that is not known. */
  total: number | null;
}

/** Makes a call that a signal stops, and tells how far it is. What the listener throws stops it too. @internal */
export async function long<T, P>(
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (progress: P) => void },
  call: (call: Call) => Promise<T>,
  progress: (call: Call) => string,
): Promise<T> {
  signal?.throwIfAborted();
  const made = new addon.Call();
  const stop = () => made.stop();
  signal?.addEventListener('abort', stop);
  const thrown: unknown[] = [];
  const tell =
    onProgress &&
    (() => {
      try {
        onProgress(JSON.parse(progress(made)) as P);
      } catch (error) {
        thrown.push(error);
        stop();
      }
    });
  const timer = tell && setInterval(tell, PROGRESS_MS);
  try {
    const done = await call(made);
    if (thrown.length === 0) {
      tell?.();
    }
    if (thrown.length > 0) {
      throw thrown[0];
    }
    return done;
  } catch (error) {
    if (thrown.length > 0) {
      throw thrown[0];
    }
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    clearInterval(timer);
  }
}
