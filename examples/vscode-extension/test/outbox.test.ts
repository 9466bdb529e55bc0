import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewMessage } from 'nofx-node';
import { Outbox, type Unsaved } from '../src/outbox';

/** A store on a disk that can be full. */
class Disk {
  readonly saved: string[] = [];
  error: unknown;
  /** Whether a failing call has an effect all the same. */
  happens = false;

  async addMessage(_session: string, message: NewMessage): Promise<number> {
    if (this.error !== undefined && !this.happens) {
      throw this.error;
    }
    this.saved.push(message.content);
    if (this.error !== undefined) {
      throw this.error;
    }
    return this.saved.length - 1;
  }

  async has(_session: string, messageId: string): Promise<boolean> {
    return this.saved.includes(messageId);
  }
}

function failure(code: string, transient: boolean): Error {
  return Object.assign(new Error(code), { code, transient });
}

function item(content: string): Unsaved {
  return { session: 's', message: { id: content, type: 'user', content } };
}

test('while the disk is full messages are kept in order, with a warning that goes when they are saved', async () => {
  const disk = new Disk();
  const told: string[] = [];
  const outbox = new Outbox(disk, (unsaved, reason) => told.push(`${unsaved.length} ${reason?.message}`));
  assert.equal(await outbox.add(item('a')), true);
  disk.error = failure('full', true);
  assert.equal(await outbox.add(item('b')), false);
  assert.equal(await outbox.add(item('c')), false);
  assert.deepEqual(outbox.unsaved.map((one) => one.message.content), ['b', 'c']);
  disk.error = undefined;
  await outbox.save();
  assert.deepEqual(disk.saved, ['a', 'b', 'c']);
  assert.deepEqual(told, ['0 undefined', '1 full', '2 full', '0 undefined']);
});

test('a message that may have been saved is not saved twice', async () => {
  const disk = new Disk();
  const outbox = new Outbox(disk, () => undefined);
  disk.error = failure('unknown', true);
  disk.happens = true;
  assert.equal(await outbox.add(item('a')), false);
  disk.error = undefined;
  await outbox.save();
  assert.deepEqual(disk.saved, ['a']);
  assert.equal(outbox.unsaved.length, 0);
});

test('what can never be saved is handed back and does not hold up the others', async () => {
  const disk = new Disk();
  const outbox = new Outbox(disk, () => undefined);
  disk.error = failure('invalid', false);
  await assert.rejects(outbox.add(item('a')), /invalid/);
  disk.error = undefined;
  assert.equal(await outbox.add(item('b')), true);
  assert.deepEqual(disk.saved, ['b']);
});
