/** The measurements, by name. */
export type Tasks = Record<string, () => unknown>;

/** Runs each task once per round, so that a disturbance affects all; returns the median of each in milliseconds. */
export async function measured(tasks: Tasks, rounds = 9): Promise<Map<string, number>> {
  const times = new Map(Object.keys(tasks).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, task] of Object.entries(tasks)) {
      globalThis.gc?.();
      const started = performance.now();
      await task();
      times.get(name)?.push(performance.now() - started);
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

export function median(list: number[]): number {
  return list.sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}

/** Prints times relative to one of them. */
export function printed(times: Map<string, number>, beside: string, named = beside): void {
  const one = times.get(beside);
  for (const [name, time] of times) {
    const ratio = one === undefined ? '' : `${(time / one).toFixed(2).padStart(8)} x ${named}`;
    console.log(`  ${name.padEnd(44)}${time.toFixed(3).padStart(10)} ms${ratio}`);
  }
}

/** Returns a module; if it is not installed, prints that it is left out of the comparison. */
export function peer<T>(name: string): T | undefined {
  try {
    return require(name) as T;
  } catch {
    console.log(`${name} is not installed, so it is not compared with`);
    return undefined;
  }
}
