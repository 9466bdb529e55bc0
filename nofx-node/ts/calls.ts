import { constants } from 'node:buffer';
import type { Answers } from './addon';
import { addon } from './native';

interface Waiting {
  resolve(texts: string[]): void;
  reject(failure: { message: string }): void;
}

/**
 * The calls that wait for an answer of the addon. All answers come back through one function: a promise of the addon needs one of its own,
 * and making that takes longer than most calls.
 */
const waiting = new Map<number, Waiting>();

let answers: Answers | undefined;
let last = 0;

/** Makes a call, which rejects as a promise of the addon does. @internal */
export function called(ask: (answers: Answers, call: number) => void): Promise<string[]> {
  return new Promise((resolve, reject) => {
    answers ??= new addon.Answers(settle, constants.MAX_STRING_LENGTH);
    last = (last + 1) >>> 0;
    ask(answers, last);
    waiting.set(last, { resolve, reject });
    if (waiting.size === 1) {
      answers.keepRunning(true);
    }
  });
}

function settle(call: number, failed: boolean, texts: string[]): void {
  const { resolve, reject } = waiting.get(call)!;
  waiting.delete(call);
  if (waiting.size === 0) {
    answers!.keepRunning(false);
  }
  if (failed) {
    reject({ message: texts[0]! });
  } else {
    resolve(texts);
  }
}
