import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import { defineJob } from '../queue/index.ts';
import { testInfrastructure } from './index.ts';

const letter = defineJob({ name: 'letter', payload: z.object({ to: z.string() }) });

describe('testInfrastructure', () => {
  it('gives every component, working together, and what they did can be read', async () => {
    const app = await testInfrastructure(({ queue, mail, log }) => {
      const done = Promise.withResolvers<void>();
      const handler = letter.handle(async ({ to }) => {
        await mail.send({ to, subject: 'Issue 12', text: 'It is out.' });
        log.info({ to, token: 'hunter2' }, 'letter sent');
        done.resolve();
      });
      return { worker: queue.worker([handler]), done: done.promise };
    });
    await app.files.put('a.txt', 'a');
    await app.cache.set('key', 'value', { ttl: '1m' });
    await app.push.send([{ kind: 'fcm', token: 't' }], { title: 'Issue 12' });
    await app.queue.enqueue(letter, { to: 'reader@example.com' });
    await app.done;

    expect(await Array.fromAsync(app.mail.native.messages())).toMatchObject([
      { subject: 'Issue 12' },
    ]);
    expect(await Array.fromAsync(app.push.native.deliveries())).toHaveLength(1);
    expect(app.logged).toMatchObject([
      { level: 'info', msg: 'letter sent', to: 'reader@example.com', token: '[redacted]' },
    ]);
    expect([...app.files.native.keys()]).toEqual(['a.txt']);
    expect((await app.health.check()).status).toBe('ok');
    await app.stop();
  });

  it('its time is the test’s', async () => {
    const app = await testInfrastructure();
    await app.cache.set('key', 'value', { ttl: '1m' });
    await app.clock.advance(59_999);
    expect(await app.cache.get('key')).toBe('value');
    await app.clock.advance(1);
    expect(await app.cache.get('key')).toBeUndefined();
    const { lastModified } = await app.files.put('a', 'a');
    expect(lastModified.getTime()).toBe(app.clock.now());
    await app.stop();
  });

  it('two share nothing', async () => {
    const first = await testInfrastructure();
    const second = await testInfrastructure();
    await first.files.put('a', 'a');
    await first.queue.enqueue(letter, { to: 'x' });
    expect(await second.files.exists('a')).toBe(false);
    expect(second.database).not.toBe(first.database);
    await first.stop();
    await second.stop();
  });

  it('an enqueue takes part in the transactions of its database', async () => {
    const app = await testInfrastructure();
    const failing = app.database.transaction(async () => {
      await app.queue.enqueue(letter, { to: 'x' }, { deduplicationKey: 'one' });
      throw new Error('roll back');
    });
    await expect(failing).rejects.toThrow('roll back');
    const { id } = await app.queue.enqueue(letter, { to: 'y' }, { deduplicationKey: 'one' });
    expect(await app.queue.enqueue(letter, { to: 'z' }, { deduplicationKey: 'one' })).toMatchObject(
      { id },
    );
    await app.stop();
  });

  it('its extension has its own types', async () => {
    const app = await testInfrastructure(() => ({ answer: 42 }));
    expectTypeOf(app.answer).toEqualTypeOf<number>();
    expect(app.answer).toBe(42);
    await app.stop();
  });
});
