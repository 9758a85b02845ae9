import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  type ConformanceCase,
  type FakeClock,
  fakeClock,
  InfrastructureError,
  type ErrorCode,
  type Schema,
} from '../../core/index.ts';
import type { Claim, ClaimedJob, QueueDriver, Settlement } from '../driver.ts';
import { defineJob, type HandledJob, type JobDefinition } from '../job.ts';
import { JobQueue } from '../queue.ts';
import type { Worker, WorkerOptions } from '../worker.ts';

/** What an adapter of the queue brings to its suite: a driver on an empty queue. The suite brings the portable class and the time. */
export interface QueueSubject {
  readonly driver: QueueDriver;
  /** Only for an adapter with the capability `transactions`. */
  readonly transactions?: QueueTransactions;
}

/** The database that a transactional adapter lives in. */
export interface QueueTransactions {
  /** Runs `fn` in a transaction of the application. */
  run<Result>(fn: () => Promise<Result>): Promise<Result>;
  /** Writes a row into some table, in the ambient transaction when there is one. */
  write(text: string): Promise<void>;
  /** The rows that were committed, in their order. */
  read(): Promise<readonly string[]>;
}

/** A case of the queue's suite. */
export type QueueCase = ConformanceCase<QueueSubject, 'transactions'>;

/** A payload of most cases. */
export interface Note {
  readonly text: string;
}

/** Takes `{ text: string }`. By hand, so that the suite needs no validator. */
export const noteSchema: Schema<Note, Note> = {
  '~standard': {
    version: 1,
    vendor: 'underpin',
    validate: (value) =>
      typeof value === 'object' &&
      value !== null &&
      'text' in value &&
      typeof value.text === 'string'
        ? { value: { text: value.text } }
        : { issues: [{ message: 'text is missing', path: ['text'] }] },
  },
};

/** Takes anything. */
export const anySchema: Schema = {
  '~standard': { version: 1, vendor: 'underpin', validate: (value) => ({ value }) },
};

/** The job of most cases: three attempts, retries after 750 ms and 1500 ms (the scene's jitter is always a half). */
export const note: JobDefinition<Note, Note> = defineJob({
  name: 'note',
  payload: noteSchema,
  attempts: 3,
  backoff: { initialDelay: 1000 },
  timeout: '10s',
});

/** Another one, with but one attempt. */
export const single: JobDefinition<Note, Note> = defineJob({
  name: 'single',
  payload: noteSchema,
  attempts: 1,
});

/** A queue over the subject's driver, with time that stands still. */
export interface Scene {
  readonly driver: QueueDriver;
  readonly clock: FakeClock;
  readonly queue: JobQueue;
  readonly subject: QueueSubject;
  /** Claims jobs of these names, `note` and `single` unless told, with a lease of 60 s unless told. */
  readonly claim: (options?: ClaimOptions) => Promise<readonly ClaimedJob[]>;
  /** Claims exactly one. */
  readonly claimOne: (options?: ClaimOptions) => Promise<ClaimedJob>;
  readonly settle: (...settlements: readonly Settlement[]) => Promise<readonly boolean[]>;
  /** Starts a worker, runs `fn`, and closes the worker whatever happens. */
  readonly withWorker: (
    handlers: readonly HandledJob[],
    options: WorkerOptions,
    fn: (worker: Worker) => Promise<void>,
  ) => Promise<void>;
}

/** What {@link Scene.claim} takes. `lease` is in milliseconds. */
export interface ClaimOptions {
  readonly names?: readonly string[];
  readonly limit?: number;
  readonly lease?: number;
}

/** A case over a scene. */
export function sceneCase(id: string, run: (scene: Scene) => Promise<void>): QueueCase {
  return {
    id,
    run: async (subject) => {
      await run(await setUp(subject));
    },
  };
}

/** Makes the scene and starts its queue. */
export async function setUp(subject: QueueSubject): Promise<Scene> {
  const driver = watched(subject.driver);
  const clock = fakeClock(undefined, settleDown);
  const queue = new JobQueue(driver, { clock, random: () => 0.5 });
  await queue.start();
  const scene: Scene = {
    driver,
    clock,
    queue,
    subject,
    claim: async ({ names = ['note', 'single'], limit = 100, lease = 60_000 } = {}) =>
      await driver.claim({ names, limit, now: clock.now(), leaseUntil: clock.now() + lease }),
    claimOne: async (options = {}) => {
      const claimed = await scene.claim({ ...options, limit: 1 });
      const [job] = claimed;
      assert.ok(job, 'a job was to be claimed, and none was there');
      return job;
    },
    settle: async (...settlements) => await driver.settle(settlements, clock.now()),
    withWorker: async (handlers, options, fn) => {
      const worker = queue.worker(handlers, options);
      try {
        await worker.start();
        await fn(worker);
      } finally {
        await worker.close();
      }
    },
  };
  return scene;
}

export function complete({ id, generation }: Claim, keepUntil?: number): Settlement {
  return { id, generation, kind: 'complete', keepUntil };
}

export function release({ id, generation }: Claim, availableAt: number): Settlement {
  return { id, generation, kind: 'release', availableAt };
}

export function retry({ id, generation }: Claim, availableAt: number): Settlement {
  return {
    id,
    generation,
    kind: 'retry',
    availableAt,
    failure: { message: 'once more', code: 'Error', at: availableAt },
  };
}

export function bury({ id, generation }: Claim): Settlement {
  return { id, generation, kind: 'bury', failure: { message: 'no more', code: 'Error', at: 1 } };
}

/** Lets the event loop turn until the condition holds. Fails after 4 s, which only a broken adapter needs. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const end = performance.now() + 4000;
  while (!(await condition())) {
    if (performance.now() > end) assert.fail(`waited in vain: ${what}`);
    await nextTurn();
  }
}

/**
 * Lets what is under way go as far as it can without time passing: until no call of a driver has been under way for a while.
 * Fails after 4 s, which only a broken adapter needs.
 */
export async function settleDown(): Promise<void> {
  const end = performance.now() + 4000;
  for (let quietTurns = 0; quietTurns < 20; quietTurns += 1) {
    await nextTurn();
    if (callsUnderWay > 0) quietTurns = 0;
    if (performance.now() > end) assert.fail('waited in vain: the engine answers');
  }
}

/** Lets others have their turn, and waits for nothing. */
export async function yieldTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
}

let callsUnderWay = 0;

async function watch(call: Promise<unknown>): Promise<void> {
  callsUnderWay += 1;
  await Promise.allSettled([call]);
  callsUnderWay -= 1;
}

/** The same driver, its calls counted while they last; but for `transaction`, which lasts as long as what runs inside of it. */
function watched(driver: QueueDriver): QueueDriver {
  return new Proxy(driver, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        const result: unknown = Reflect.apply(member, target, args);
        if (key !== 'transaction' && result instanceof Promise) {
          void watch(result);
        }
        return result;
      };
    },
  });
}

/** Asserts that a call fails with the code, and gives the error. */
export async function refuses(
  call: Promise<unknown>,
  code: ErrorCode,
): Promise<InfrastructureError> {
  try {
    await call;
  } catch (error) {
    assert.ok(
      InfrastructureError.is(error),
      `an InfrastructureError was expected, and ${String(error)} was thrown`,
    );
    assert.equal(error.code, code);
    return error;
  }
  return assert.fail(`${code} was expected, and nothing was thrown`);
}
