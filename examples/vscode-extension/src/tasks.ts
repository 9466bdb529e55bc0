import type { Task } from 'nofx-node';
import * as vscode from 'vscode';
import { type SessionItem, sessionFor, titleOf } from './conversations';
import type { Desk } from './desk';
import { leaf, Tree } from './tree';

const LOOKS: Record<string, { icon: string; color: string; said: string }> = {
  in_progress: { icon: 'play-circle', color: 'charts.blue', said: 'in progress' },
  completed: { icon: 'pass', color: 'charts.green', said: 'done' },
  failed: { icon: 'error', color: 'charts.red', said: 'failed' },
  interrupted: { icon: 'debug-pause', color: 'charts.yellow', said: 'interrupted' },
};

/** The tasks of the conversation viewed last: the current one, then those that have ended, newest first. */
export class TaskTree extends Tree {
  readonly #desk: Desk;
  readonly #view: vscode.TreeView<vscode.TreeItem>;
  #session: string | undefined;

  constructor(desk: Desk) {
    super();
    this.#desk = desk;
    this.#view = vscode.window.createTreeView('nofx.tasks', { treeDataProvider: this });
  }

  dispose(): void {
    this.#view.dispose();
  }

  /** Shows the tasks of another session. */
  async show(session: string | undefined): Promise<void> {
    if (session === undefined || session === this.#session) {
      return;
    }
    this.#session = session;
    await vscode.commands.executeCommand('setContext', 'nofx.conversation', true);
    this.refresh();
  }

  async getChildren(): Promise<vscode.TreeItem[]> {
    const summary = this.#session === undefined ? null : await this.#desk.workspace.session(this.#session);
    this.#view.description = summary === null ? '' : titleOf(summary);
    if (summary === null) {
      return [];
    }
    const { current, ended } = await this.#desk.workspace.tasks(summary.session.id);
    const items = ended.reverse().map((task) => itemOf(task));
    return current === null ? items : [currentItem(summary.session.id, current), ...items];
  }
}

/** The item of the current task. */
interface CurrentTask extends vscode.TreeItem {
  session: string;
  task: Task;
}

/** Registers the commands for tasks. What agents are to do and have done is also recorded in the log between agents. */
export function taskCommands(desk: Desk): vscode.Disposable {
  const { workspace } = desk;
  const end = (name: string, type: string, act: (session: string, task: string) => Promise<Task>) =>
    desk.command<CurrentTask>(name, async (item) => {
      const summary = item === undefined ? await sessionFor(desk, undefined) : await workspace.session(item.session);
      const task = item?.task ?? (summary && (await workspace.tasks(summary.session.id)).current);
      if (summary && task?.id !== undefined) {
        const { title } = await act(summary.session.id, task.id);
        await workspace.saveOrchestration({ type, from: summary.session.agentId, to: 'conductor', payload: { task: title } });
      }
    });
  return vscode.Disposable.from(
    desk.command<SessionItem>('nofx.startTask', async (item) => {
      const summary = await sessionFor(desk, item);
      const prompt = 'What is to be done?';
      const title = summary && (await vscode.window.showInputBox({ title: 'New Task', prompt, ignoreFocusOut: true }));
      if (summary && title) {
        await workspace.startTask(summary.session.id, title);
        const { agentId: to } = summary.session;
        await workspace.saveOrchestration({ type: 'assign_task', from: 'conductor', to, payload: { task: title } });
      }
    }),
    end('nofx.completeTask', 'task_complete', workspace.completeTask.bind(workspace)),
    end('nofx.failTask', 'task_error', workspace.failTask.bind(workspace)),
    end('nofx.interruptTask', 'task_interrupted', workspace.interruptTask.bind(workspace)),
  );
}

function currentItem(session: string, task: Task): CurrentTask {
  return Object.assign(itemOf(task), { session, task, contextValue: 'task-current' });
}

function itemOf({ title, status, description, unreadable, completedAt, assignedAt }: Task): vscode.TreeItem {
  if (unreadable !== undefined) {
    return leaf('A task that cannot be read', { icon: 'warning', tooltip: unreadable });
  }
  const { icon, color, said } = LOOKS[status ?? ''] ?? { icon: 'circle-outline', color: undefined, said: status };
  const when = completedAt ?? assignedAt;
  const tooltip = [title, description, when && new Date(when).toLocaleString()].filter(Boolean).join('\n');
  return leaf(title ?? 'Task', { icon, tooltip, ...(color && { color }), ...(said && { description: said }) });
}
