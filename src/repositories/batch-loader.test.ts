import { expect, test } from 'vitest';

import {
  definePolicy,
  InfrastructureError,
  runWithContext,
  subscribeToOperations,
} from '../core/index.ts';
import { type Sample, sample } from './conformance/index.ts';
import type { Row } from './driver.ts';
import { EntityRepository } from './entity-repository.ts';
import { MemoryRepositoryDriver } from './memory.ts';

class CountingDriver extends MemoryRepositoryDriver {
  readonly batches: unknown[][] = [];
  readonly signals: (AbortSignal | undefined)[] = [];
  failure: Error | undefined;
  gate: Promise<void> = Promise.resolve();

  override async findByIds(ids: readonly unknown[], signal?: AbortSignal): Promise<readonly Row[]> {
    this.batches.push([...ids]);
    this.signals.push(signal);
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    signal?.throwIfAborted();
    return await super.findByIds(ids);
  }
}

async function subject(): Promise<{
  driver: CountingDriver;
  repository: EntityRepository<Sample>;
}> {
  const driver = new CountingDriver('samples', 'id');
  const repository = new EntityRepository<Sample>(driver);
  await repository.insertMany(['a', 'b', 'c', 'd'].map((id) => sample(id)));
  return { driver, repository };
}

test('repositories › findById › reads of one tick are one query with each id once', async () => {
  const { driver, repository } = await subject();
  await Promise.all(['a', 'b', 'a', 'nobody'].map(async (id) => repository.findById(id)));
  expect(driver.batches).toEqual([['a', 'b', 'nobody']]);
});

test('repositories › findById › reads begun in microtasks of the same tick are in the same query', async () => {
  const { driver, repository } = await subject();
  const later = Promise.resolve()
    .then(() => undefined)
    .then(async () => repository.getById('b'));
  await Promise.all([repository.findById('a'), later]);
  expect(driver.batches).toEqual([['a', 'b']]);
});

test('repositories › findById › reads of another tick are another query', async () => {
  const { driver, repository } = await subject();
  await repository.findById('a');
  await repository.findById('a');
  expect(driver.batches).toEqual([['a'], ['a']]);
});

test('repositories › findById › reads of two contexts are not put together', async () => {
  const { driver, repository } = await subject();
  await Promise.all(
    ['one', 'two'].map(async (requestId) =>
      runWithContext({ requestId }, async () =>
        Promise.all([repository.findById('a'), repository.findById('b')]),
      ),
    ),
  );
  expect(driver.batches).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
});

test('repositories › findById › every read of a batch that fails fails, and the next tick tries again', async () => {
  const { driver, repository } = await subject();
  driver.failure = new Error('on purpose');
  const results = await Promise.allSettled([repository.findById('a'), repository.findById('b')]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  driver.failure = undefined;
  expect((await repository.findById('a'))?.id).toBe('a');
});

test('repositories › findById › an aborted read stops waiting and leaves the query to the others', async () => {
  const { driver, repository } = await subject();
  const opened = Promise.withResolvers<void>();
  driver.gate = opened.promise;
  const [one, two] = [new AbortController(), new AbortController()];
  const first = repository.findById('a', { signal: one.signal });
  const second = repository.findById('b', { signal: two.signal });
  await new Promise((resolve) => void setImmediate(resolve));
  one.abort();
  await expect(first).rejects.toMatchObject({ code: 'cancelled' });
  expect(driver.signals[0]?.aborted).toBe(false);
  opened.resolve();
  expect((await second)?.id).toBe('b');
});

test('repositories › findById › the query is aborted when nobody waits for it any more', async () => {
  const { driver, repository } = await subject();
  const opened = Promise.withResolvers<void>();
  driver.gate = opened.promise;
  const controllers = [new AbortController(), new AbortController()];
  const reads = controllers.map(async ({ signal }) => repository.findById('a', { signal }));
  await new Promise((resolve) => void setImmediate(resolve));
  for (const controller of controllers) controller.abort();
  for (const read of reads) await expect(read).rejects.toMatchObject({ code: 'cancelled' });
  expect(driver.signals[0]?.aborted).toBe(true);
  opened.resolve();
});

test('repositories › findById › reads under a policy with timeouts are still one query', async () => {
  const driver = new CountingDriver('samples', 'id');
  const policy = definePolicy('patient', { timeout: '10s', attemptTimeout: '5s' });
  const repository = new EntityRepository<Sample>(driver, { policy });
  await Promise.all(['a', 'b'].map(async (id) => repository.findById(id)));
  expect(driver.batches).toEqual([['a', 'b']]);
});

test('repositories › operations › each call is one event with its collection and row count, and no values', async () => {
  const { repository } = await subject();
  const events: unknown[] = [];
  const unsubscribe = subscribeToOperations({
    end: ({ component, operation, attributes, error }) =>
      events.push([
        component,
        operation,
        { ...attributes },
        InfrastructureError.is(error) ? error.code : undefined,
      ]),
  });
  await repository.find({ name: 'secret' });
  await repository.getById('nobody').catch(() => undefined);
  unsubscribe();
  expect(events).toEqual([
    ['repositories', 'find', { adapter: 'memory', collection: 'samples', rows: 0 }, undefined],
    ['repositories', 'getById', { adapter: 'memory', collection: 'samples' }, 'not-found'],
  ]);
});

test('repositories › findById › who changes what it got changes it for nobody else', async () => {
  const driver = new CountingDriver('samples', 'id');
  const repository = new EntityRepository<Sample>(driver, {
    // In place, as soon as it is given the row.
    toEntity: (row) => Object.assign(row, { rank: row.rank + 1 }),
  });
  await repository.insert(sample('a'));
  const { signal } = new AbortController();
  const found = await Promise.all([
    repository.findById('a'),
    repository.findById('a', { signal }),
    repository.findById('a'),
  ]);
  expect(found.map((each) => each?.rank)).toEqual([1, 1, 1]);
  expect(driver.batches).toEqual([['a']]);
});
