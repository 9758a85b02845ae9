import { describe, expect, it } from 'vitest';

import { runConformanceCase } from '../core/index.ts';
import { queueConformance } from './conformance/index.ts';
import type {
  Claim,
  ClaimRequest,
  JobFilter,
  NewJob,
  QueueDriver,
  RedriveRequest,
  Settlement,
} from './driver.ts';
import { MemoryQueueDriver } from './memory.ts';

/** Drivers that each break one rule, and the case that must catch it. */
const broken: Readonly<
  Record<string, { readonly driver: new () => QueueDriver; readonly caughtBy: string }>
> = {
  'gives out jobs before they are due': {
    caughtBy: 'claim › no job comes before its delay is over',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest, signal?: AbortSignal) =>
        await super.claim({ ...request, now: Infinity }, signal);
    },
  },
  'gives out more than was asked for': {
    caughtBy: 'claim › the first ones are taken when the limit leaves some',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest) =>
        await super.claim({ ...request, limit: 1000 });
    },
  },
  'gives out jobs in the wrong order': {
    caughtBy: 'claim › the job that is available longest comes first, then the one enqueued first',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest) => (await super.claim(request)).toReversed();
    },
  },
  'gives out jobs of other names': {
    caughtBy: 'claim › only jobs of the names asked for are given',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest) =>
        await super.claim({ ...request, names: ['note', 'single'] });
    },
  },
  'claims though the signal is aborted': {
    caughtBy: 'claim › a call whose signal is aborted claims nothing',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest) => await super.claim(request);
    },
  },
  'gives one job to two workers': {
    caughtBy: 'claim › claims at the same time share no job, and leave none out',
    driver: class extends MemoryQueueDriver {
      override claim = async (request: ClaimRequest) => {
        const claimed = await super.claim(request);
        this.#before.push(...claimed);
        return [...claimed, ...this.#before.slice(0, request.limit - claimed.length)];
      };
      readonly #before: Awaited<ReturnType<QueueDriver['claim']>>[number][] = [];
    },
  },
  'takes back jobs whose lease runs': {
    caughtBy: 'claim › an active job is not claimed again while its lease runs',
    driver: class extends MemoryQueueDriver {
      override maintain = async () => await super.maintain(Infinity);
    },
  },
  'forgets jobs whose lease ended': {
    caughtBy: 'lease › a job whose lease ended waits again at once, and the attempt counts',
    driver: class extends MemoryQueueDriver {
      override maintain = async () => ({ recovered: 0, buried: 0, removed: 0 });
    },
  },
  'lets whoever lost the lease settle': {
    caughtBy: 'settle › the holder of a lost lease is fenced out, whatever it says',
    driver: class extends MemoryQueueDriver {
      override settle = async (settlements: readonly Settlement[], now: number) => {
        const current = await Promise.all(
          settlements.map(async ({ id }) => (await super.find(id))?.generation ?? 0),
        );
        return await super.settle(
          settlements.map((settlement, index) => ({
            ...settlement,
            generation: current[index] ?? 0,
          })),
          now,
        );
      };
    },
  },
  'says that every settlement took effect': {
    caughtBy: 'settle › one call settles each claim in its own way and says which took effect',
    driver: class extends MemoryQueueDriver {
      override settle = async (settlements: readonly Settlement[], now: number) =>
        (await super.settle(settlements, now)).map(() => true);
    },
  },
  'counts the attempt of a job that was given back': {
    caughtBy: 'drain › jobs whose turn has not come are given back, and no attempt is lost',
    driver: class extends MemoryQueueDriver {
      override settle = async (settlements: readonly Settlement[], now: number) =>
        await super.settle(
          settlements.map((settlement) =>
            settlement.kind === 'release'
              ? { ...settlement, kind: 'retry', failure: { message: '', code: '', at: now } }
              : settlement,
          ),
          now,
        );
    },
  },
  'keeps no completed jobs': {
    caughtBy: 'settle › a completed job with retention is kept until it ends',
    driver: class extends MemoryQueueDriver {
      override settle = async (settlements: readonly Settlement[], now: number) =>
        await super.settle(
          settlements.map((settlement) =>
            settlement.kind === 'complete' ? { ...settlement, keepUntil: undefined } : settlement,
          ),
          now,
        );
    },
  },
  'says that a lease was extended, and does nothing': {
    caughtBy: 'lease › an extended one lasts until its new end',
    driver: class extends MemoryQueueDriver {
      override extend = async (claims: readonly Claim[]) => claims.map(() => true);
    },
  },
  'ignores deduplication keys': {
    caughtBy: 'deduplication › a job that waits keeps a second one with its key out',
    driver: class extends MemoryQueueDriver {
      override enqueue = async (jobs: readonly NewJob[]) =>
        await super.enqueue(jobs.map((job) => ({ ...job, deduplicationKey: undefined })));
    },
  },
  'drops the context': {
    caughtBy: 'enqueue › the context of the caller rides with the job',
    driver: class extends MemoryQueueDriver {
      override enqueue = async (jobs: readonly NewJob[]) =>
        await super.enqueue(jobs.map((job) => ({ ...job, context: undefined })));
    },
  },
  'tells nobody of new jobs': {
    caughtBy: 'listen › hears of an enqueue, until told no longer',
    driver: class extends MemoryQueueDriver {
      override listen = () => () => undefined;
    },
  },
  'lists jobs in any order': {
    caughtBy: 'list › gives jobs by state and name, oldest first, page by page',
    driver: class extends MemoryQueueDriver {
      override list = async (filter: JobFilter) => (await super.list(filter)).toReversed();
    },
  },
  'redrives more than was asked for': {
    caughtBy: 'redrive › takes the ids, the name or all, and no more than the limit',
    driver: class extends MemoryQueueDriver {
      override redrive = async (request: RedriveRequest) =>
        await super.redrive({ ...request, limit: 1000 });
    },
  },
};

describe('the suite of the queue catches a driver that', () => {
  it.each(Object.entries(broken))('%s', async (_, { driver: BrokenDriver, caughtBy }) => {
    const conformanceCase = queueConformance.cases.find(({ id }) => id === caughtBy);
    if (conformanceCase === undefined) throw new Error(`no case is called "${caughtBy}"`);
    const result = await runConformanceCase(conformanceCase, {
      adapter: 'broken',
      capabilities: { transactions: false },
      create: async () => ({ driver: new BrokenDriver() }),
      dispose: async ({ driver }) => {
        await driver.close();
      },
    });
    expect(result.status).toBe('failed');
  });
});

describe('the suite of the queue', () => {
  it('has no two cases of one name', () => {
    const ids = queueConformance.cases.map(({ id }) => id);
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
  });
});
