import type { ErrorCode } from './errors';

/** The status of a task. */
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
  /** Identifies it within its session. */
  id?: string;
  /** What is to be done, in short. */
  title?: string;
  /** What is to be done. */
  description?: string;
  /** Its priority: `low`, `medium` or `high`. */
  priority?: string;
  /** Its tags, single words. */
  tags?: string[];
  /** Its status. */
  status?: TaskStatus;
  /** When it was started. */
  assignedAt?: string;
  /** When it ended. */
  completedAt?: string;
  /** How long it took, in milliseconds. */
  duration?: number;
  /** Why it cannot be read, if so; `code` is then the code of the error, and there are no other members. */
  unreadable?: string;
  [member: string]: unknown;
}

/** What can be set on a new task. */
export interface NewTask {
  /** What is to be done, in short. */
  title: string;
  /** What is to be done. */
  description?: string;
  /** Its priority: `low`, `medium` or `high`; not validated. */
  priority?: string;
  /** Its tags, single words. */
  tags?: string[];
}

/** The tasks of a session: at most one is current. */
export interface Tasks {
  /** The current task. */
  current: Task | null;
  /** The tasks that have ended, in the order in which they ended. */
  ended: Task[];
  /** Why others cannot be read. One of them may be the one that says that the current task has ended. */
  unreadable: { code: ErrorCode; message: string }[];
}

/** The result of starting a task. */
export interface StartedTask {
  /** The task; complete, fail or interrupt it by its `id`. */
  task: Task & { id: string };
  /** The task that was current and was interrupted for it. */
  interrupted: Task | null;
}
