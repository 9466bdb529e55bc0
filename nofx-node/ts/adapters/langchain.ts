/**
 * A chat history of LangChain.js in a NofX store. Needs `@langchain/core`.
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

/** Options of a chat history. */
export interface ChatMessageHistoryOptions {
  /** The name of the records; `langchain` by default. Histories with different names do not see each other's data. */
  name?: string;
}

/**
 * A history under an id that the host chooses. Messages that are added together are all stored or none; several processes can use one
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
