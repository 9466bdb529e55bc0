import type { Call } from './addon';
import { addon } from './native';

/** How often progress is reported. */
const PROGRESS_MS = 100;

/** Options of a call that may take long. */
export interface LongOptions {
  /** Stops the call: it rejects with the signal's reason, and what was committed stays. */
  signal?: AbortSignal;
  /** Gets the progress ten times a second and at the end. If it throws, the call is stopped and rejects with what was thrown. */
  onProgress?: (progress: Progress) => void;
}

/** The progress of a call that takes long. */
export interface Progress {
  /** The current phase, such as `searching`; empty before the first. */
  phase: string;
  /** How many things are done: sessions, records or messages. */
  done: number;
  /** The total; `null` if it is not known. */
  total: number | null;
}

/** Makes a call that a signal can stop and that reports progress. An error from the listener stops it too. @internal */
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
