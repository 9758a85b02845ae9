import assert from 'node:assert/strict';

import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, it } from 'vitest';

import { makePostgresDatabase } from '../../test/services/databases.ts';
import { makeKeyspace } from '../../test/services/keyspaces.ts';
import { service } from '../../test/services/services.ts';
import { postgresDatabase } from '../database/postgres/index.ts';
import { sqliteDatabase } from '../database/sqlite/index.ts';
import type { Claim, JobState, QueueDriver, Settlement } from './driver.ts';
import { MemoryQueueDriver } from './memory.ts';
import { SqlQueueDriver } from './sql/sql-queue-driver.ts';

type Kind = Settlement['kind'];

/** One step of a history. `pick` chooses among what there is, by remainder. */
type Step =
  | {
      readonly do: 'enqueue';
      readonly delay: number;
      readonly key: string | undefined;
      readonly maxAttempts: number;
    }
  | { readonly do: 'claim'; readonly limit: number; readonly lease: number }
  | { readonly do: 'settle'; readonly pick: number; readonly kind: Kind; readonly delay: number }
  | { readonly do: 'extend'; readonly pick: number; readonly lease: number }
  | { readonly do: 'wait'; readonly milliseconds: number }
  | { readonly do: 'maintain' }
  | { readonly do: 'redrive'; readonly limit: number }
  | { readonly do: 'remove'; readonly pick: number };

const soon = fc.integer({ min: 0, max: 50 });
const pick = fc.nat(1000);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      delay: fc.oneof(fc.constant(0), soon),
      key: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
      maxAttempts: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      limit: fc.integer({ min: 1, max: 4 }),
      lease: soon,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      pick,
      kind: fc.constantFrom<Kind[]>('complete', 'complete', 'retry', 'bury', 'release'),
      delay: soon,
    }),
  },
  fc.record({ do: fc.constant('extend' as const), pick, lease: soon }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), milliseconds: soon }) },
  { weight: 2, arbitrary: fc.constant({ do: 'maintain' as const }) },
  fc.record({ do: fc.constant('redrive' as const), limit: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ do: fc.constant('remove' as const), pick }),
);

/** A job as the model knows it. */
interface ModelJob {
  readonly id: string;
  readonly key: string | undefined;
  readonly maxAttempts: number;
  state: JobState;
  attempts: number;
  generation: number;
  availableAt: number;
  leaseUntil: number;
}

/** Runs a history on a driver beside a model that searches plain arrays, and compares them after every step. */
class History {
  readonly #driver: QueueDriver;
  #jobs: ModelJob[] = [];
  readonly #claims: Claim[] = [];
  readonly #completions: string[] = [];
  #now = 1_000_000;
  #made = 0;

  constructor(driver: QueueDriver) {
    this.#driver = driver;
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#step(one);
      await this.#compare();
    }
    await this.#finish();
  }

  async #step(one: Step): Promise<void> {
    const claim =
      'pick' in one ? this.#claims[one.pick % Math.max(1, this.#claims.length)] : undefined;
    switch (one.do) {
      case 'enqueue':
        await this.#enqueue(one);
        break;
      case 'claim':
        await this.#claim(one.limit, one.lease);
        break;
      case 'settle':
        if (claim) await this.#settle(claim, one.kind, one.delay);
        break;
      case 'extend':
        if (claim) {
          const held = this.#held(claim);
          if (held) held.leaseUntil = this.#now + one.lease;
          assert.deepEqual(await this.#driver.extend([claim], this.#now + one.lease), [
            held !== undefined,
          ]);
        }
        break;
      case 'wait':
        this.#now += one.milliseconds;
        break;
      case 'maintain':
        await this.#maintain();
        break;
      case 'redrive':
        await this.#redrive(one.limit);
        break;
      case 'remove':
        await this.#remove(this.#jobs[one.pick % Math.max(1, this.#jobs.length)]);
        break;
    }
  }

  async #enqueue({ delay, key, maxAttempts }: Extract<Step, { do: 'enqueue' }>): Promise<void> {
    this.#made += 1;
    const id = `job-${String(this.#made).padStart(6, '0')}`;
    const availableAt = this.#now + delay;
    const twin = this.#twinOf(key);
    const results = await this.#driver.enqueue([
      {
        id,
        name: 'job',
        version: 1,
        payload: 'null',
        context: undefined,
        maxAttempts,
        availableAt,
        createdAt: this.#now,
        deduplicationKey: key,
      },
    ]);
    assert.deepEqual(results, [{ id: twin?.id ?? id, isDuplicate: twin !== undefined }]);
    if (twin) return;
    this.#jobs.push({
      id,
      key,
      maxAttempts,
      state: 'waiting',
      attempts: 0,
      generation: 0,
      availableAt,
      leaseUntil: 0,
    });
  }

  async #claim(limit: number, lease: number): Promise<void> {
    const leaseUntil = this.#now + lease;
    const claimed = await this.#driver.claim({ names: ['job'], limit, now: this.#now, leaseUntil });
    const expected = this.#jobs
      .filter(({ state, availableAt }) => state === 'waiting' && availableAt <= this.#now)
      .toSorted((a, b) => a.availableAt - b.availableAt || (a.id < b.id ? -1 : 1))
      .slice(0, limit);
    assert.deepEqual(
      claimed.map(({ id }) => id),
      expected.map(({ id }) => id),
    );
    for (const [index, job] of expected.entries()) {
      const { generation = 0, attempt } = claimed[index] ?? {};
      assert.ok(generation > job.generation);
      job.state = 'active';
      job.attempts += 1;
      job.generation = generation;
      job.leaseUntil = leaseUntil;
      assert.equal(attempt, job.attempts);
      this.#claims.push({ id: job.id, generation });
    }
  }

  async #settle(claim: Claim, kind: Kind, delay: number): Promise<void> {
    const { id, generation } = claim;
    const failure = { message: 'failed', code: 'Error', at: this.#now };
    const availableAt = this.#now + delay;
    const settlement: Settlement = {
      id,
      generation,
      kind,
      availableAt,
      failure,
      keepUntil: undefined,
    };
    const held = this.#held(claim);
    assert.deepEqual(await this.#driver.settle([settlement], this.#now), [held !== undefined]);
    if (held === undefined) return;
    if (kind === 'complete') {
      this.#completions.push(held.id);
      this.#jobs = this.#jobs.filter((job) => job !== held);
    } else if (kind === 'bury') {
      held.state = 'dead';
    } else {
      held.state = 'waiting';
      held.availableAt = availableAt;
      if (kind === 'release') held.attempts -= 1;
    }
  }

  async #maintain(): Promise<void> {
    const ended = this.#jobs.filter(
      ({ state, leaseUntil }) => state === 'active' && leaseUntil <= this.#now,
    );
    const buried = ended.filter(({ attempts, maxAttempts }) => attempts >= maxAttempts);
    assert.deepEqual(await this.#driver.maintain(this.#now), {
      recovered: ended.length - buried.length,
      buried: buried.length,
      removed: 0,
    });
    for (const job of ended) {
      job.state = buried.includes(job) ? 'dead' : 'waiting';
      job.availableAt = job.state === 'waiting' ? this.#now : job.availableAt;
    }
  }

  async #redrive(limit: number): Promise<void> {
    const redriven: ModelJob[] = [];
    for (const job of this.#jobs) {
      if (job.state !== 'dead' || this.#twinOf(job.key) || redriven.length === limit) continue;
      redriven.push(job);
      job.state = 'waiting';
      job.attempts = 0;
      job.availableAt = this.#now;
    }
    assert.equal(
      await this.#driver.redrive({ ids: undefined, name: undefined, limit, now: this.#now }),
      redriven.length,
    );
  }

  async #remove(job: ModelJob | undefined): Promise<void> {
    if (job === undefined) return;
    assert.equal(await this.#driver.remove(job.id), job.state !== 'active');
    if (job.state !== 'active') this.#jobs = this.#jobs.filter((other) => other !== job);
  }

  /** Nothing is lost and nothing appears from nowhere: both know the same jobs in the same states. */
  async #compare(): Promise<void> {
    const stored = await this.#driver.list({
      state: undefined,
      name: undefined,
      after: undefined,
      limit: 1000,
    });
    assert.deepEqual(
      stored.map(({ id, state, attempts, generation, availableAt }) => ({
        id,
        state,
        attempts,
        generation,
        availableAt,
      })),
      this.#jobs.map(({ id, state, attempts, generation, availableAt }) => ({
        id,
        state,
        attempts,
        generation,
        availableAt,
      })),
    );
    const events = this.#jobs.flatMap(({ state, availableAt, leaseUntil }) =>
      state === 'waiting' ? [availableAt] : state === 'active' ? [leaseUntil] : [],
    );
    assert.equal(
      await this.#driver.nextEventAt(['job']),
      events.length === 0 ? undefined : Math.min(...events),
    );
  }

  /** Every job that is not dead completes, and none completes twice. */
  async #finish(): Promise<void> {
    for (
      let rounds = 0;
      this.#jobs.some(({ state }) => state === 'waiting' || state === 'active');
      rounds += 1
    ) {
      assert.ok(rounds < 100);
      this.#now += 1000;
      await this.#maintain();
      const before = this.#claims.length;
      await this.#claim(1000, 10);
      for (const claim of this.#claims.slice(before)) await this.#settle(claim, 'complete', 0);
    }
    assert.equal(new Set(this.#completions).size, this.#completions.length);
    await this.#compare();
  }

  #held({ id, generation }: Claim): ModelJob | undefined {
    return this.#jobs.find(
      (job) => job.id === id && job.state === 'active' && job.generation === generation,
    );
  }

  #twinOf(key: string | undefined): ModelJob | undefined {
    if (key === undefined) return undefined;
    return this.#jobs.find(
      (job) => job.key === key && (job.state === 'waiting' || job.state === 'active'),
    );
  }
}

const postgres = await service('postgres');
const redis = await service('redis');

describe('queue › any history leaves the jobs as the model has them, none lost and none completed twice', () => {
  it('memory', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await new History(new MemoryQueueDriver()).run(steps);
      }),
      { seed: 20_260_101, numRuns: 200 },
    );
  });

  it('sql on SQLite', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await using database = sqliteDatabase({ file: ':memory:' });
        const driver = SqlQueueDriver.on(database);
        await driver.start();
        await new History(driver).run(steps);
      }),
      { seed: 20_260_102, numRuns: 50 },
    );
  });

  it.skipIf(postgres.missing)('sql on PostgreSQL', async () => {
    await using target = await makePostgresDatabase();
    await using database = postgresDatabase({ url: target.url });
    const driver = SqlQueueDriver.on(database);
    await driver.start();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        await sql`truncate underpin_job`.execute(database.query);
        await new History(driver).run(steps);
      }),
      { seed: 20_260_104, numRuns: 50 },
    );
  });

  it.skipIf(redis.missing)('redis', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { queueDriver, remove } = await makeKeyspace();
        const driver = queueDriver();
        await new History(driver).run(steps);
        await driver.close();
        await remove();
      }),
      { seed: 20_260_103, numRuns: 50 },
    );
  });
});
