import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fakeClock } from '../core/index.ts';
import { InboxMailDriver, inboxMailer } from './inbox.ts';

const from = 'news@gazette.example';
const plain = { to: 'ada@readers.example', subject: 'Hello', text: 'Hello Ada.' } as const;

describe('inbox', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'underpin-inbox-'));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('the factory touches nothing; start makes the folder, for this user alone', async () => {
    const nested = join(directory, 'a', 'b');
    const mailer = inboxMailer({ directory: nested });
    expect(await readdir(directory)).toEqual([]);
    await mailer.start();
    expect(await readdir(nested)).toEqual([]);
    expect((await stat(nested)).mode & 0o777).toBe(0o700);
  });

  it('a message is a folder with the message for a mail client and its envelope for people', async () => {
    const mailer = inboxMailer({ directory, from, clock: fakeClock(), sync: true });
    const { id } = await mailer.send({
      ...plain,
      bcc: 'blind@readers.example',
      idempotencyKey: 'welcome/7',
    });
    const folders = await readdir(directory);
    expect(folders).toEqual([id.slice(0, 32)]);
    const folder = join(directory, folders[0] ?? '');
    expect((await readdir(folder)).toSorted()).toEqual(['message.eml', 'message.json']);
    expect(JSON.parse(await readFile(join(folder, 'message.json'), 'utf8'))).toEqual({
      id,
      idempotencyKey: 'welcome/7',
      receivedAt: '2026-01-01T00:00:00.000Z',
      sequence: 1,
      envelope: { from, to: ['ada@readers.example', 'blind@readers.example'] },
    });
    expect(await readFile(join(folder, 'message.eml'), 'utf8')).toContain('Subject: Hello\r\n');
  });

  it('another mailer of the same folder reads the messages and keeps the keys', async () => {
    const first = inboxMailer({ directory, from });
    const receipt = await first.send({ ...plain, idempotencyKey: 'k' });
    await first.close();
    const second = inboxMailer({ directory, from });
    expect(await second.send({ ...plain, subject: 'Again', idempotencyKey: 'k' })).toEqual(receipt);
    const messages = await Array.fromAsync(second.native.messages());
    expect(messages.map(({ id, subject }) => ({ id, subject }))).toEqual([
      { id: receipt.id, subject: 'Hello' },
    ]);
  });

  it('messages come in the order of delivery also within one millisecond', async () => {
    const mailer = inboxMailer({ directory, from, clock: fakeClock() });
    const subjects = Array.from({ length: 20 }, (_, index) => `${index}`);
    for (const subject of subjects) await mailer.send({ ...plain, subject });
    const received = await Array.fromAsync(mailer.native.messages());
    expect(received.map(({ subject }) => subject)).toEqual(subjects);
  });

  it('an inbox without a folder has no messages', async () => {
    const { native } = inboxMailer({ directory: join(directory, 'none') });
    expect(await Array.fromAsync(native.messages())).toEqual([]);
    await native.clear();
  });

  it('what is not a message is left alone, by reading and by clearing', async () => {
    const mailer = inboxMailer({ directory, from });
    await mailer.send(plain);
    await writeFile(join(directory, 'notes.txt'), 'mine');
    await mkdir(join(directory, 'drafts'));
    expect(await Array.fromAsync(mailer.native.messages())).toHaveLength(1);
    await mailer.native.clear();
    expect((await readdir(directory)).toSorted()).toEqual(['drafts', 'notes.txt']);
  });

  it('start removes what killed processes left long ago', async () => {
    const left = join(directory, `.underpin-${'0a'.repeat(12)}.tmp`);
    await mkdir(left);
    await writeFile(join(left, 'message.eml'), 'half');
    const old = new Date(Date.now() - 2 * 3_600_000);
    await utimes(left, old, old);
    await inboxMailer({ directory }).start();
    expect(await readdir(directory)).toEqual([]);
  });

  it('a damaged message is told by its path, not skipped and not overwritten', async () => {
    const mailer = inboxMailer({ directory, from });
    const { id } = await mailer.send({ ...plain, idempotencyKey: 'k' });
    const facts = join(directory, id.slice(0, 32), 'message.json');
    for (const content of ['', '{"id":', 'null', '{}']) {
      await writeFile(facts, content);
      const damage = {
        code: 'data-loss',
        message: expect.stringContaining(id.slice(0, 32)) as string,
      };
      await expect(Array.fromAsync(mailer.native.messages())).rejects.toMatchObject(damage);
      await expect(mailer.send({ ...plain, idempotencyKey: 'k' })).rejects.toMatchObject(damage);
      expect(await readFile(facts, 'utf8')).toBe(content);
    }
    await rm(facts);
    await expect(mailer.send({ ...plain, idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'data-loss',
    });
  });

  it('a file in place of the folder is one clear error', async () => {
    const path = join(directory, 'file');
    await writeFile(path, 'mine');
    const expected = {
      code: 'failed-precondition',
      message: expect.stringContaining('is not a folder') as string,
    };
    await expect(inboxMailer({ directory: path }).start()).rejects.toMatchObject(expected);
    await expect(inboxMailer({ directory: join(path, 'below') }).start()).rejects.toMatchObject(
      expected,
    );
    expect(await readFile(path, 'utf8')).toBe('mine');
  });

  it('a folder that is removed while in use is told, and health sees it', async () => {
    const mailer = inboxMailer({ directory: join(directory, 'inbox'), from });
    await mailer.start();
    await rm(join(directory, 'inbox'), { recursive: true });
    const status = await mailer.checkHealth();
    expect(status).toMatchObject({
      status: 'down',
      message: expect.stringContaining('is not there') as string,
    });
    await expect(mailer.send(plain)).rejects.toMatchObject({ code: 'failed-precondition' });
  });

  it.each([
    ['ENOSPC', 'resource-exhausted', 'no space is left'],
    ['EDQUOT', 'resource-exhausted', 'no space is left'],
    ['EACCES', 'permission-denied', 'cannot be read and written'],
    ['EROFS', 'permission-denied', 'cannot be read and written'],
  ])('the file system’s %s is %s, and says what to do', (code, expected, words) => {
    const classified = new InboxMailDriver({ directory }).classify(
      Object.assign(new Error(code), { code }),
    );
    expect(classified?.code).toBe(expected);
    expect(classified?.message).toContain(words);
    expect(classified?.message).toContain(directory);
  });
});
