import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type * as services from '../dist/legacy/index';
import { folder } from './place';

/** The services as they were built. */
export const legacy = require('../dist/legacy/index.js') as typeof services;

/** Something that was reported: to the log with its level, or on the bus. */
export interface Told {
  what: string;
  data?: unknown;
}

/** A host that records what it is given. */
export function host(more: Partial<services.Host> = {}) {
  const [logged, events]: [Told[], Told[]] = [[], []];
  const level = (name: string) => (message: string, data?: unknown) => void logged.push({ what: `${name}: ${message}`, data });
  const log = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
  const bus = { publish: (what: string, data?: unknown) => void events.push({ what, data }) };
  return { log, bus, logged, events, ...more };
}

/** Creates a service of a folder that is removed with the test; the service is disposed before that. */
export function service(test: TestContext, more: Partial<services.Host> = {}, place?: string) {
  const told = host(more);
  let made: services.UnifiedPersistenceService | undefined;
  test.after(() => made?.dispose());
  const root = place ?? folder();
  made = new legacy.UnifiedPersistenceService(root, told);
  return { service: made, root, store: join(root, '.nofx', 'store', 'nofx.redb'), ...told };
}

/** Creates a service that keeps everything in memory. */
export function inMemory(test: TestContext, more: Partial<services.Host> = {}) {
  const told = host(more);
  const made = new legacy.UnifiedPersistenceService(undefined, told);
  test.after(() => made.dispose());
  return { service: made, ...told };
}

export const ADA: services.LegacyAgent = {
  id: 'agent-1-ada',
  name: 'Ada',
  type: 'backend-specialist',
  status: 'working',
  template: { id: 'backend-specialist', name: 'Backend', systemPrompt: 'You write servers.' },
  currentTask: null,
  tasksCompleted: 3,
  startTime: new Date('2025-09-08T14:10:00.000Z'),
  capabilities: ['rust'],
};

export const GRACE: services.LegacyAgent = { id: 'agent-0-grace', name: 'Grace', type: 'tester', status: 'idle' };

/** Waits until a condition holds; the time limit of the runner fails the test if it never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const ALL: services.LegacyRestore = {
  restoreConversationHistory: true,
  restoreCurrentTask: true,
  restoreWorkingDirectory: true,
  continueFromLastMessage: true,
  summarizeHistory: false,
};
