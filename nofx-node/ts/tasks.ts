import type { ErrorCode } from './errors';

/** How far a task is. */
export type TaskStatus =
  | 'pending'
  | 'in_progress'
  | 'completed'
  | 'failed'
  | 'interrupted'
  | 'cancelled'
  | (string & {});

/** Something that an agent does in a session. */
export interface Task {
  /** Names it within its session. */
  id?: string;
  /** What is to be done, shortly. */
  title?: string;
  /** What is to be done. */
  description?: string;
  /** How urgent it is: `low`, `medium` or `high`. */
  priority?: string;
  /** What it is about, in single words. */
  tags?: string[];
  /** How far it is. */
  status?: TaskStatus;
  /** When it was begun. */
  assignedAt?: string;
  /** When it ended. */
  completedAt?: string;
  /** How long it took, in milliseconds. */
  duration?: number;
  /** Why it cannot be read, if so; `code` is then the code of the error, and it has no other members. */
  unreadable?: string;
  [member: string]: unknown;
}

/** What may be said of a task when it is begun. */
export interface NewTask {
  /** What is to be done, shortly. */
  title: string;
  /** What is to be done. */
  description?: string;
  /** How urgent it is: `low`, `medium` or `high`; not judged. */
  priority?: string;
  /** What it is about, in single words. */
  tags?: string[];
}

/** The tasks of a session: at most one is being worked on. */
export interface Tasks {
  /** The one being worked on. */
  current: Task | null;
  /** Those that ended, in the order in which they ended. */
  ended: Task[];
  /** Why others cannot be read. One of them may say that the current one has ended. */
  unreadable: { code: ErrorCode; message: string }[];
}

/** What became of starting a task. */
export interface StartedTask {
  /** The task; its `id` ends it. */
  task: Task & { id: string };
  /** The one that was being worked on and was put aside for it. */
  interrupted: Task | null;
}
