import type { Agent, HistoryEntry, RestoreOptions, Session, SessionState, SessionSummary, Task, Tasks } from '../index';

/** An agent as the extension has it in memory. */
export interface LegacyAgent {
  id: string;
  name: string;
  type: string;
  status?: string;
  template?: object | string;
  currentTask?: object | null;
  tasksCompleted?: number;
  startTime?: Date;
  capabilities?: string[];
  workingDirectory?: string;
}

/** A message of a conversation. */
export interface LegacyMessage {
  id: string;
  timestamp: Date;
  type: 'user' | 'assistant' | 'system' | 'tool';
  content: string;
  metadata?: { [member: string]: unknown };
}

/** A task of a session. */
export interface LegacyTask {
  id: string;
  title: string;
  description: string;
  status: string;
  assignedAt: Date;
  completedAt?: Date;
  duration?: number;
  priority: 'low' | 'medium' | 'high';
  tags: string[];
  filesModified: string[];
  commandsExecuted: string[];
}

/** A session with its messages and tasks. */
export interface LegacySession {
  id: string;
  name: string;
  agentId: string;
  agentName: string;
  agentType: string;
  createdAt: Date;
  lastActiveAt: Date;
  sessionDuration: number;
  expiresAt?: Date;
  status: 'active' | 'expired' | 'archived' | 'paused';
  isClaudeSessionActive: boolean;
  conversationHistory: LegacyMessage[];
  currentTask?: LegacyTask;
  completedTasks: LegacyTask[];
  workingDirectory?: string;
  gitBranch?: string;
  template?: object;
  templateId?: string;
  capabilities: string[];
  systemPrompt: string;
  tasksCompleted: number;
  totalOutputLines: number;
}

/** A session in a list. */
export interface LegacySummary {
  sessionId: string;
  name: string;
  agentId: string;
  agentName: string;
  agentType: string;
  status: 'active' | 'expired' | 'archived';
  createdAt: Date;
  lastActiveAt: Date;
  duration: string;
  tasksCompleted: number;
  isRestorable: boolean;
  expiresIn?: string;
}

/** What a restored session takes over. */
export interface LegacyRestore {
  restoreConversationHistory: boolean;
  restoreCurrentTask: boolean;
  restoreWorkingDirectory: boolean;
  continueFromLastMessage: boolean;
  summarizeHistory: boolean;
}

/** Which messages between agents to read; both times are included. */
export interface LegacyFilter {
  clientId?: string;
  type?: string;
  timeRange?: { from?: Date; to?: Date };
  offset?: number;
  limit?: number;
}

/** A message between agents. */
export interface OrchestrationMessage {
  id: string;
  timestamp: string;
  from: string;
  to: string;
  type: string;
  payload?: unknown;
  correlationId?: string;
  requiresAck?: boolean;
  [member: string]: unknown;
}

/** The member that records the order in which agents were saved: the store lists them by id. */
const POSITION = 'listPosition';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Returns what is stored of an agent: not its terminal, nor other runtime state. @internal */
export function agentToKeep(agent: LegacyAgent, position: number): Agent {
  const { id, name, type, status = 'idle', template, currentTask = null, tasksCompleted = 0 } = agent;
  return {
    id,
    name,
    type,
    status,
    ...(template !== undefined && { template }),
    tasksCompleted,
    currentTask,
    sessionFile: `${id}_session.md`,
    ...(agent.startTime && { createdAt: textOf(agent.startTime) }),
    ...(agent.capabilities && { capabilities: agent.capabilities }),
    ...(agent.workingDirectory !== undefined && { workingDirectory: agent.workingDirectory }),
    [POSITION]: position,
  };
}

/** Returns a place after all agents in the list, and after those that got one before. @internal */
export function endOfList(): number {
  lastPosition = Math.max(Date.now(), lastPosition + 1);
  return lastPosition;
}

let lastPosition = 0;

/** Returns the member that puts an agent at the end of the list. @internal */
export function placedLast(): { [member: string]: number } {
  return { [POSITION]: endOfList() };
}

/** Whether an agent has a place in the list. @internal */
export function hasPlace(agent: Agent): boolean {
  return positionOf(agent) !== undefined;
}

/** Returns an agent with the place in the list of the one that it replaces, if that has one. @internal */
export function inPlaceOf(before: Agent | null, agent: Agent): Agent {
  return { ...agent, [POSITION]: positionOf(before) ?? agent[POSITION] };
}

function positionOf(agent: Agent | null): number | undefined {
  const position = agent?.[POSITION];
  return typeof position === 'number' ? position : undefined;
}

/** Returns agents in the order of the list; those without a place come last, by age. @internal */
export function inOrder(agents: Agent[]): Agent[] {
  const of = (agent: Agent) => positionOf(agent) ?? Number.POSITIVE_INFINITY;
  const age = (agent: Agent) => timeOf(agent['createdAt'])?.getTime() ?? Number.POSITIVE_INFINITY;
  const compare = (a: number, b: number) => (a === b ? 0 : a - b);
  return [...agents].sort((a, b) => compare(of(a), of(b)) || compare(age(a), age(b)));
}

/** @internal */
export function agentOf(kept: Agent): LegacyAgent {
  const { template, currentTask, status, tasksCompleted, capabilities, workingDirectory, createdAt } = kept;
  const startTime = timeOf(createdAt);
  return {
    id: kept.id,
    name: kept.name,
    type: kept.type,
    status: typeof status === 'string' ? status : 'idle',
    ...((typeof template === 'string' || isObject(template)) && { template }),
    currentTask: isObject(currentTask) ? currentTask : null,
    tasksCompleted: numberOf(tasksCompleted),
    ...(startTime && { startTime }),
    ...(Array.isArray(capabilities) && { capabilities: textsOf(capabilities) }),
    ...(typeof workingDirectory === 'string' && { workingDirectory }),
  };
}

/** @internal */
export function messageOf({ position, at, message, unreadable }: HistoryEntry): LegacyMessage {
  if (unreadable !== undefined) {
    const content = `[This message cannot be read: ${unreadable}]`;
    return { id: `unreadable-${position}`, timestamp: new Date(at || 0), type: 'system', content };
  }
  return {
    ...message,
    id: message.id ?? `message-${position}`,
    timestamp: timeOf(message.timestamp) ?? new Date(at),
    type: (message.type ?? 'system') as LegacyMessage['type'],
    content: message.content ?? '',
  };
}

/** @internal */
export function taskOf(task: Task): LegacyTask {
  const completedAt = timeOf(task.completedAt);
  const priority = task.priority;
  return {
    ...task,
    id: task.id ?? '',
    title: task.title ?? '',
    description: task.description ?? '',
    status: task.status ?? 'in_progress',
    assignedAt: timeOf(task.assignedAt) ?? new Date(0),
    ...(completedAt && { completedAt }),
    priority: priority === 'low' || priority === 'high' ? priority : 'medium',
    tags: textsOf(task.tags),
    filesModified: textsOf(task['filesModified']),
    commandsExecuted: textsOf(task['commandsExecuted']),
  } as LegacyTask;
}

/** Builds a whole session from its parts. @internal */
export function sessionOf(summary: SessionSummary, history: HistoryEntry[], tasks: Tasks): LegacySession {
  const { session, state } = summary;
  const { template, workingDirectory, gitBranch, systemPrompt } = session;
  const expiresAt = timeOf(session.expiresAt);
  const templateId = isObject(template) ? (template as { id?: unknown }).id : template;
  return {
    id: session.id,
    name: session.name,
    agentId: session.agentId,
    agentName: session.agentName ?? '',
    agentType: session.agentType ?? '',
    createdAt: timeOf(session.createdAt) ?? new Date(summary.lastActiveAt),
    lastActiveAt: new Date(summary.lastActiveAt),
    sessionDuration: numberOf(session['sessionDuration']),
    ...(expiresAt && { expiresAt }),
    status: statusOf(state),
    isClaudeSessionActive: goesOn(state),
    conversationHistory: history.map(messageOf),
    ...(tasks.current && { currentTask: taskOf(tasks.current) }),
    completedTasks: tasks.ended.map(taskOf),
    ...(workingDirectory !== undefined && { workingDirectory }),
    ...(gitBranch !== undefined && { gitBranch }),
    ...(isObject(template) && { template }),
    ...(typeof templateId === 'string' && { templateId }),
    capabilities: textsOf(session['capabilities']),
    systemPrompt: typeof systemPrompt === 'string' ? systemPrompt : '',
    tasksCompleted: completedIn(session, tasks),
    totalOutputLines: Math.max(numberOf(session['totalOutputLines']), summary.messages),
  };
}

/** @internal */
export function summaryOf(summary: SessionSummary, tasks: Tasks): LegacySummary {
  const { session, state } = summary;
  const lastActiveAt = new Date(summary.lastActiveAt);
  const createdAt = timeOf(session.createdAt) ?? lastActiveAt;
  const expiresAt = timeOf(session.expiresAt);
  const status = statusOf(state);
  return {
    sessionId: session.id,
    name: session.name,
    agentId: session.agentId,
    agentName: session.agentName ?? '',
    agentType: session.agentType ?? '',
    status: status === 'paused' ? 'active' : status,
    createdAt,
    lastActiveAt,
    duration: lasting(lastActiveAt.getTime() - createdAt.getTime()),
    tasksCompleted: completedIn(session, tasks),
    isRestorable: state === 'expired' || state === 'archived',
    ...(expiresAt && { expiresIn: left(expiresAt.getTime() - Date.now()) }),
  };
}

/** @internal */
export function restoreOf(options: LegacyRestore): RestoreOptions {
  return {
    conversationHistory: Boolean(options.restoreConversationHistory),
    currentTask: Boolean(options.restoreCurrentTask),
    workingDirectory: options.restoreWorkingDirectory ?? true,
    continueFromLastMessage: options.continueFromLastMessage ?? true,
    summarizeHistory: Boolean(options.summarizeHistory),
  };
}

/** Whether a session is active now, by the clock. @internal */
export function goesOn(state: SessionState): boolean {
  return state === 'active' || state === 'expires-soon';
}

/** Parses a time; `undefined` if it is not one. @internal */
export function timeOf(value: unknown): Date | undefined {
  const time = typeof value === 'string' || value instanceof Date ? new Date(value) : undefined;
  return time && !Number.isNaN(time.getTime()) ? time : undefined;
}

/** Formats a time, which may have been read from JSON and already be text. */
function textOf(time: Date | string): string | undefined {
  return timeOf(time)?.toISOString();
}

function statusOf(state: SessionState): LegacySession['status'] {
  switch (state) {
    case 'paused':
    case 'expired':
      return state;
    case 'archived':
    case 'deleted':
      return 'archived';
    default:
      return 'active';
  }
}

/** The old extension's count includes the tasks that it stored. */
function completedIn(session: Session, tasks: Tasks): number {
  const completed = tasks.ended.filter(({ status }) => status === 'completed').length;
  return Math.max(numberOf(session['tasksCompleted']), completed);
}

function lasting(milliseconds: number): string {
  const minutes = Math.floor(Math.max(0, milliseconds) / MINUTE);
  return minutes >= 60 ? `${Math.floor(minutes / 60)}h ${minutes % 60}m` : `${minutes}m`;
}

function left(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / MINUTE);
  return milliseconds <= 0 ? 'Expired' : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function textsOf(values: unknown): string[] {
  return Array.isArray(values) ? values.filter((value) => typeof value === 'string') : [];
}
