import { setTimeout as delay } from 'node:timers/promises';

import { describe, expect, it, vi } from 'vitest';

import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { atomicJob, makeTables, plainJob, type Tables } from './jobs.ts';

const { missing } = await service('postgres');

describe.skipIf(missing)('sqlQueue › a PostgreSQL that is killed and comes back', () => {
  it('costs no job whose enqueue was accepted and runs no atomic one twice, and everything goes on by itself', async () => {
    await using server = await startServer('postgres');
    await using web = postgresDatabase<Tables>({ url: server.url });
    await makeTables(web);
    await using sending = sqlQueue({ database: web });
    await sending.start();
    await using own = postgresDatabase<Tables>({ url: server.url });
    await using working = sqlQueue({ database: own });
    const work = async (kind: string, number: number, attempt: number): Promise<void> => {
      await own.query.insertInto('effect').values({ kind, number, attempt }).execute();
    };
    const handlers = [
      atomicJob.handle(async ({ number }, { attempt }) => await work('atomic', number, attempt), {
        atomic: true,
      }),
      plainJob.handle(async ({ number }, { attempt }) => await work('plain', number, attempt)),
    ];
    await using worker = working.worker(handlers, {
      concurrency: 5,
      lease: '2s',
      pollInterval: '100ms',
    });
    await worker.start();

    const accepted: number[] = [];
    const refused: unknown[] = [];
    const over = new AbortController();
    const load = (async () => {
      for (let number = 0; !over.signal.aborted; number += 1) {
        try {
          await web.transaction(async () => {
            await sending.enqueue(atomicJob, { number });
            await sending.enqueue(plainJob, { number });
          });
          accepted.push(number);
        } catch (error) {
          refused.push(error);
        }
        await delay(5);
      }
    })();
    for (let outage = 1; outage <= 3; outage += 1) {
      const before = accepted.length;
      await vi.waitUntil(() => accepted.length > before + 20, { timeout: 60_000 });
      const failures = refused.length;
      await server.kill();
      await vi.waitUntil(() => refused.length > failures, { timeout: 60_000 });
      await vi.waitUntil(async () => (await worker.checkHealth()).status === 'degraded', {
        timeout: 60_000,
        interval: 100,
      });
      await server.restart();
    }
    const before = accepted.length;
    await vi.waitUntil(() => accepted.length > before + 20, { timeout: 60_000 });
    over.abort();
    await load;
    await vi.waitUntil(
      async () => {
        const { waiting, active } = await sending.counts();
        return waiting + active === 0;
      },
      { timeout: 120_000, interval: 200 },
    );

    expect((await sending.counts()).dead).toBe(0);
    const rows = await web.query.selectFrom('effect').selectAll().execute();
    const numbersOf = (kind: string): number[] =>
      rows.filter((row) => row.kind === kind).map(({ number }) => number);
    const done = new Set(numbersOf('plain'));
    expect(accepted.filter((number) => !done.has(number))).toEqual([]);
    const atomic = numbersOf('atomic');
    expect(accepted.filter((number) => !atomic.includes(number))).toEqual([]);
    expect(new Set(atomic).size).toBe(atomic.length);
    await vi.waitUntil(async () => (await worker.checkHealth()).status === 'ok', {
      timeout: 60_000,
      interval: 100,
    });
  });
});
