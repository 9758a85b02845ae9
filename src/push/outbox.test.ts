import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { type Clock, fakeClock } from '../core/index.ts';
import type { Outbox } from './delivery.ts';
import { memoryPush } from './memory.ts';
import type { FcmTarget } from './notification.ts';
import { OutboxPushDriver, outboxPush } from './outbox.ts';
import type { PushSender } from './push.ts';

const ada: FcmTarget = { kind: 'fcm', token: 'ada' };
const bob: FcmTarget = { kind: 'fcm', token: 'bob' };

describe('push outbox', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'underpin-push-'));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  describe.each(['memory', 'outbox'])('%s', (adapter) => {
    function make(clock: Clock): { sender: PushSender; outbox: Outbox } {
      const sender =
        adapter === 'memory' ? memoryPush({ clock }) : outboxPush({ clock, directory });
      return { sender, outbox: sender.native };
    }

    async function states(outbox: Outbox): Promise<string[]> {
      const all = await Array.fromAsync(outbox.deliveries());
      return all.map(({ content, state }) => `${content.title}: ${state}`);
    }

    it('a notification waits until its time to live has passed', async () => {
      const clock = fakeClock();
      const { sender, outbox } = make(clock);
      await sender.send([ada], { title: 'minute', ttl: '1m' });
      await sender.send([ada], { title: 'now', ttl: 0 });
      expect(await states(outbox)).toEqual(['minute: waiting', 'now: waiting']);
      await clock.advance(1);
      expect(await states(outbox)).toEqual(['minute: waiting', 'now: expired']);
      await clock.advance(59_999);
      expect(await states(outbox)).toEqual(['minute: waiting', 'now: expired']);
      await clock.advance(1);
      expect(await states(outbox)).toEqual(['minute: expired', 'now: expired']);
    });

    it('a later one with the same collapse key replaces the earlier ones of the same target', async () => {
      const { sender, outbox } = make(fakeClock());
      await sender.send([ada, bob], { title: 'one', collapseKey: 'issue' });
      await sender.send([ada], { title: 'other', collapseKey: 'other' });
      await sender.send([ada], { title: 'two', collapseKey: 'issue' });
      await sender.send([ada], { title: 'three', collapseKey: 'issue' });
      await sender.send([ada], { title: 'none' });
      expect((await states(outbox)).toSorted()).toEqual(
        [
          'one: replaced',
          'one: waiting',
          'other: waiting',
          'two: replaced',
          'three: waiting',
          'none: waiting',
        ].toSorted(),
      );
    });

    it('what is expired or replaced keeps its idempotency key', async () => {
      const clock = fakeClock();
      const { sender, outbox } = make(clock);
      await sender.send([ada], { title: 'one', ttl: 0, collapseKey: 'c' }, { idempotencyKey: 'k' });
      await clock.advance(1000);
      await sender.send([ada], { title: 'again' }, { idempotencyKey: 'k' });
      expect(await states(outbox)).toEqual(['one: expired']);
    });

    it('clear removes every delivery and frees the keys', async () => {
      const { sender, outbox } = make(fakeClock());
      await sender.send([ada], { title: 'one' }, { idempotencyKey: 'k' });
      await outbox.clear();
      await sender.send([ada], { title: 'two' }, { idempotencyKey: 'k' });
      expect(await states(outbox)).toEqual(['two: waiting']);
    });
  });

  it('the factory touches nothing; start makes the folder, for this user alone', async () => {
    const nested = join(directory, 'a', 'push');
    const push = outboxPush({ directory: nested });
    expect(await readdir(directory)).toEqual([]);
    await push.start();
    expect((await stat(nested)).mode & 0o777).toBe(0o700);
  });

  it('each target is one file that a person can read', async () => {
    const push = outboxPush({ directory, clock: fakeClock(), sync: true });
    await push.send([ada], { title: 'Hello', ttl: '1h' }, { idempotencyKey: 'k' });
    const names = await readdir(directory);
    expect(names).toHaveLength(1);
    expect(names[0]).toMatch(/^[0-9a-f]{32}\.json$/);
    expect(JSON.parse(await readFile(join(directory, names[0] ?? ''), 'utf8'))).toEqual({
      idempotencyKey: 'k',
      target: ada,
      content: { title: 'Hello' },
      ttlSeconds: 3600,
      urgency: 'normal',
      sentAt: '2026-01-01T00:00:00.000Z',
      expiresAt: '2026-01-01T01:00:00.000Z',
      sequence: 1,
    });
  });

  it('another sender of the same folder reads the deliveries and keeps the keys', async () => {
    await outboxPush({ directory }).send([ada], { title: 'one' }, { idempotencyKey: 'k' });
    const second = outboxPush({ directory });
    const results = await second.send([ada, bob], { title: 'two' }, { idempotencyKey: 'k' });
    expect(results.map(({ status }) => status)).toEqual(['delivered', 'delivered']);
    const deliveries = await Array.fromAsync(second.native.deliveries());
    expect(deliveries.map(({ target, content }) => [target, content.title])).toEqual([
      [ada, 'one'],
      [bob, 'two'],
    ]);
  });

  it('what is not a delivery is left alone, and leftovers of killed processes are removed at start', async () => {
    const left = join(directory, `.underpin-${'0a'.repeat(12)}.tmp`);
    await writeFile(left, '{"half');
    const old = new Date(Date.now() - 2 * 3_600_000);
    await utimes(left, old, old);
    await writeFile(join(directory, 'notes.txt'), 'mine');
    const push = outboxPush({ directory });
    await push.start();
    await push.native.clear();
    expect(await Array.fromAsync(push.native.deliveries())).toEqual([]);
    expect(await readdir(directory)).toEqual(['notes.txt']);
  });

  it('a damaged delivery is told by its path', async () => {
    const push = outboxPush({ directory });
    await push.send([ada], { title: 'one' }, { idempotencyKey: 'k' });
    const [name = ''] = await readdir(directory);
    for (const content of ['', '{"target":', 'null', '{}']) {
      await writeFile(join(directory, name), content);
      await expect(Array.fromAsync(push.native.deliveries())).rejects.toMatchObject({
        code: 'data-loss',
        message: expect.stringContaining(name) as string,
      });
    }
  });

  it('a file in place of the folder is one clear error, and each send tells it', async () => {
    const path = join(directory, 'file');
    await writeFile(path, 'mine');
    const push = outboxPush({ directory: path });
    const expected = {
      code: 'failed-precondition',
      message: expect.stringContaining('is not a folder') as string,
    };
    await expect(push.start()).rejects.toMatchObject(expected);
    await expect(push.send([ada], { title: 'x' })).rejects.toMatchObject(expected);
    expect(await readFile(path, 'utf8')).toBe('mine');
  });

  it('a folder that is removed while in use fails each target and the health check', async () => {
    const inside = join(directory, 'push');
    await mkdir(inside);
    const push = outboxPush({ directory: inside });
    await push.start();
    await rm(inside, { recursive: true });
    expect(await push.send([ada], { title: 'x' })).toMatchObject([
      { status: 'failed', error: { code: 'failed-precondition' } },
    ]);
    expect(await push.checkHealth()).toMatchObject({ status: 'down' });
  });

  it.each([
    ['ENOSPC', 'resource-exhausted', 'no space is left'],
    ['EACCES', 'permission-denied', 'cannot be read and written'],
    ['EROFS', 'permission-denied', 'cannot be read and written'],
  ])('the file system’s %s is %s, and says what to do', (code, expected, words) => {
    const driver = new OutboxPushDriver({ directory });
    const classified = driver.classify(Object.assign(new Error(code), { code }));
    expect(classified).toMatchObject({
      code: expected,
      message: expect.stringContaining(words) as string,
    });
  });
});
