/**
 * A chat history of LangChain.js that is kept in a NofX store. Needs `@langchain/core`.
 *
 * ```ts
 * import { RunnableWithMessageHistory } from '@langchain/core/runnables';
 * import { open } from 'nofx-node';
 * import { NofxChatMessageHistory } from 'nofx-node/adapters/langchain';
 *
 * const workspace = await open('redb:.nofx/store/nofx.redb');
 * const getMessageHistory = (sessionId: string) => new NofxChatMessageHistory(workspace, sessionId);
 * const chain = new RunnableWithMessageHistory({ runnable, getMessageHistory, inputMessagesKey, historyMessagesKey });
 * ```
 *
 * @packageDocumentation
 */

import { BaseListChatMessageHistory } from '@langchain/core/chat_history';
import {
  type BaseMessage,
  mapChatMessagesToStoredMessages,
  mapStoredMessagesToChatMessages,
  type StoredMessage,
} from '@langchain/core/messages';
import type { Workspace } from '../index';
import { ItemList } from './items';

/** How to keep chat histories. */
export interface ChatMessageHistoryOptions {
  /** The name of the records; otherwise `langchain`. Histories of different names see nothing of each other. */
  name?: string;
}

/**
 * A history under an id of the host's choosing. Messages that are added together are there together, or not at all; several processes may use one
 * history.
 */
export class NofxChatMessageHistory extends BaseListChatMessageHistory {
  lc_namespace = ['nofx', 'chat_history'];
  readonly #items: ItemList<StoredMessage>;

  constructor(workspace: Workspace, sessionId: string, { name = 'langchain' }: ChatMessageHistoryOptions = {}) {
    super();
    this.#items = new ItemList(workspace.records(name), sessionId);
  }

  async getMessages(): Promise<BaseMessage[]> {
    return mapStoredMessagesToChatMessages(await this.#items.read((list) => list.newest()));
  }

  addMessage(message: BaseMessage): Promise<void> {
    return this.addMessages([message]);
  }

  override async addMessages(messages: BaseMessage[]): Promise<void> {
    await this.#items.append(mapChatMessagesToStoredMessages(messages));
  }

  override async clear(): Promise<void> {
    await this.#items.clear();
  }
}
