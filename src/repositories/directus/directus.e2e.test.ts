import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { directusSampleFields, directusSamples } from '../../../test/conformance/repositories.ts';
import {
  type DirectusAdministrator,
  directusAdministrator,
  makeCollection,
  makeUser,
} from '../../../test/services/collections.ts';
import { type PrivateServer, sharedServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { directusClient } from '../../directus/index.ts';
import { type Sample, sample } from '../conformance/index.ts';
import type { Criteria, OrderBy } from '../criteria.ts';
import { memoryRepository } from '../memory.ts';
import type { Repository } from '../repository.ts';
import { directusRepository } from './index.ts';

const { missing } = await service('directus');

async function pagesOf(
  repository: Repository<Sample>,
  where: Criteria<Sample>,
  options: { readonly orderBy: OrderBy<Sample>; readonly limit: number },
): Promise<unknown[]> {
  const pages: unknown[] = [];
  for (let after: string | undefined; ;) {
    const page = await repository.page(where, { ...options, after });
    pages.push(page);
    if (page.next === undefined) return pages;
    after = page.next;
  }
}

describe.skipIf(missing)('directusRepository › on a real server', () => {
  let administrator: DirectusAdministrator;
  let collection: string;

  beforeAll(async () => {
    administrator = await directusAdministrator((await sharedServer('directus')).url);
    collection = await makeCollection(administrator, directusSampleFields);
  });

  test('needs the rights to read, create, update and delete, each for its calls', async () => {
    const calls: Readonly<Record<string, (samples: Repository<Sample>) => Promise<unknown>>> = {
      read: async (samples) => await samples.find(),
      create: async (samples) => await samples.insert(sample('new')),
      update: async (samples) => await samples.update(sample('there', { rank: 2 })),
      delete: async (samples) => await samples.delete('there'),
    };
    for (const [right, call] of Object.entries(calls)) {
      const all = directusSamples(administrator, collection);
      await all.deleteWhere('all');
      await all.insert(sample('there'));
      // To read belongs to every write: by it the repository finds what to write.
      const rights = [...new Set(['read', right])];
      await call(directusSamples(await withRights(rights), collection));
      const others = Object.keys(calls).filter((other) => !rights.includes(other));
      const limited = directusSamples(await withRights(others), collection);
      await all.deleteWhere('all');
      await all.insert(sample('there'));
      await expect(call(limited)).rejects.toMatchObject({
        code: 'permission-denied',
        outcome: 'not-applied',
        retryable: false,
      });
      expect(await all.find()).toEqual([sample('there')]);
    }
  });

  test('what others delete meanwhile is left out of a deletion, also for a role that may not do all', async () => {
    const all = directusSamples(administrator, collection);
    await all.deleteWhere('all');
    await all.insertMany([sample('a'), sample('b')]);
    let isFirst = true;
    const limited = directusSamples(
      {
        ...(await withRights(['read', 'delete'])),
        fetch: async (input, init) => {
          if (init?.method === 'DELETE' && isFirst) {
            isFirst = false;
            await all.delete('a');
          }
          return await fetch(input, init);
        },
      },
      collection,
    );
    expect(await limited.deleteWhere('all')).toBe(1);
    expect(await all.count()).toBe(0);
  });

  async function withRights(rights: readonly string[]): Promise<{ url: string; token: string }> {
    const { token } = await makeUser(administrator, { [collection]: rights });
    return { url: administrator.url, token };
  }

  test('a collection or field that is not there ends the start with one error that names it', async () => {
    const client = directusClient(administrator);
    for (const [name, field] of [
      ['nowhere', 'id'],
      [collection, 'nothing'],
    ] as const) {
      const repository = directusRepository<{ id: string }>({
        client,
        collection: name,
        columns: { id: { name: field, type: 'text' } },
      });
      await expect(repository.start()).rejects.toMatchObject({
        code: 'permission-denied',
        outcome: 'not-applied',
        message: expect.stringContaining(`"${name}"`),
      });
    }
  });

  test('text is never read as a filter', async () => {
    const samples = directusSamples(administrator, collection);
    await samples.deleteWhere('all');
    const texts = ['{"_neq":null}', '_or', '%', "' or 1=1 --", '["a","b"]', 'a,b', '-name', ' a '];
    await samples.insertMany(texts.map((name, index) => sample(`${index}`, { name })));
    for (const name of texts) {
      expect((await samples.find({ name })).map((found) => found.name)).toEqual([name]);
      expect(await samples.count({ name: { not: name } })).toBe(texts.length - 1);
    }
    expect(await samples.count({ name: { in: texts } })).toBe(texts.length);
  });

  test('an entity with the empty id can be read, but its deletion is refused, and deletes nothing', async () => {
    const own = await makeCollection(administrator, directusSampleFields);
    const samples = directusSamples(administrator, own);
    await samples.insertMany([sample(''), sample('a')]);
    await expect(samples.delete('')).rejects.toMatchObject({ code: 'unimplemented' });
    await expect(samples.deleteWhere('all')).rejects.toMatchObject({ code: 'unimplemented' });
    expect(await samples.count()).toBe(2);
  });

  test('a value that somebody else has put there and that is none is data-loss', async () => {
    const samples = directusSamples(administrator, collection);
    await samples.deleteWhere('all');
    await samples.insert(sample('a'));
    await administrator.request('PATCH', `/items/${collection}/a`, { rank: null });
    await expect(samples.findById('a')).rejects.toMatchObject({
      code: 'data-loss',
      outcome: 'not-applied',
      details: { column: 'rank' },
    });
    await samples.delete('a');
  });

  test('gives the same as memory for any entities, criteria, order and page size', async () => {
    const memory = memoryRepository<Sample>({ unique: ['code'] });
    const samples = directusSamples(administrator, collection);
    await fc.assert(
      fc.asyncProperty(
        entities,
        criteria,
        orderBy,
        fc.integer({ min: 1, max: 4 }),
        async (stored, where, order, limit) => {
          for (const repository of [memory, samples]) {
            await repository.deleteWhere('all');
            await repository.insertMany(stored);
          }
          const expected = await memory.find(where, { orderBy: order });
          expect(await samples.find(where, { orderBy: order })).toStrictEqual(expected);
          expect(await samples.find({ not: where })).toStrictEqual(
            await memory.find({ not: where }),
          );
          expect(await samples.count(where)).toBe(expected.length);
          const options = { orderBy: order, limit };
          expect(await pagesOf(samples, where, options)).toStrictEqual(
            await pagesOf(memory, where, options),
          );
        },
      ),
      { seed: 20_260_101, numRuns: 60 },
    );
  });
});

describe.skipIf(missing)('directusRepository › on a server that limits queries', () => {
  let server: PrivateServer;

  beforeAll(async () => {
    server = await startServer('directus', { env: { QUERY_LIMIT_MAX: '7' } });
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test('every call reads all there is, in as many requests as it takes', async () => {
    const administrator = await directusAdministrator(server.url);
    const collection = await makeCollection(administrator, directusSampleFields);
    const samples = directusSamples(administrator, collection);
    const all = Array.from({ length: 40 }, (_, index) =>
      sample(String(index).padStart(2, '0'), {
        rank: index % 3,
        readAt: index % 2 === 0 ? null : new Date(index * 1_000_000),
      }),
    );
    await samples.insertMany(all);
    const ids = all.map(({ id }) => id);
    expect((await samples.find()).map(({ id }) => id)).toEqual(ids);
    expect(await samples.findByIds(ids)).toEqual(all);
    expect(await samples.count()).toBe(40);
    const memory = memoryRepository<Sample>();
    await memory.insertMany(all);
    for (const orderBy of [
      { rank: 'desc' },
      { readAt: 'asc' },
      { readAt: 'desc', rank: 'asc' },
    ] as const) {
      expect(await samples.find({}, { orderBy, limit: 30 })).toEqual(
        await memory.find({}, { orderBy, limit: 30 }),
      );
      const options = { orderBy, limit: 11 };
      expect(await pagesOf(samples, {}, options)).toEqual(await pagesOf(memory, {}, options));
    }
    expect(await samples.deleteWhere({ rank: 1 })).toBe(13);
    expect(await samples.count()).toBe(27);
  });

  test('after a crash of the server the same repository goes on', async () => {
    const administrator = await directusAdministrator(server.url);
    const collection = await makeCollection(administrator, directusSampleFields);
    const samples = directusSamples(administrator, collection);
    await samples.insert(sample('before'));
    await server.kill();
    // The first may meet the connection that was kept; a write is never sent twice.
    await expect(samples.insert(sample('lost'))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(samples.insert(sample('lost'))).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
    });
    await server.restart();
    await samples.insert(sample('after'));
    expect((await samples.find()).map(({ id }) => id)).toEqual(['after', 'before']);
  });
});

// Few values each, so that they meet.
const text = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'ab', 'é', 'e\u0301', '%', '_', "'", '\\', '\u{1f600}', '1', ' '),
  fc.string({ unit: 'binary', maxLength: 3 }).filter((value) => !/\0|^\$|^null$/i.test(value)),
);
const whole = fc.integer({ min: -2, max: 2 });
const real = fc.oneof(
  fc.constantFrom(0, 0.1, -1.5, 1e300, Number.MIN_VALUE, 2 ** 53, 2 ** 64),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const big = fc.constantFrom(-1n, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n);
const date = fc.date({
  min: new Date('1971-01-01T00:00:00.000Z'),
  max: new Date('2100-01-01T00:00:00.000Z'),
  noInvalidDate: true,
});
const fewDates = fc.oneof(
  fc.constantFrom(...[0, 1, 2].map((ms) => new Date(1_800_000_000_000 + ms))),
  date,
);
const orNull = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.option(values, { freq: 3 });

const entities = fc
  .uniqueArray(
    fc.record({
      // Not empty: Directus cannot delete it.
      id: text.filter((value) => value !== ''),
      name: text,
      rank: whole,
      score: orNull(real),
      serial: big,
      active: fc.boolean(),
      createdAt: fewDates,
      readAt: orNull(fewDates),
      labels: fc.array(text, { maxLength: 2 }),
      detail: orNull(fc.record({ size: real, parts: fc.array(orNull(text), { maxLength: 2 }) })),
    }),
    { selector: ({ id }) => id, maxLength: 12 },
  )
  .map((records) => records.map(({ id, ...fields }) => sample(id, fields)));

const equalities = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<unknown> =>
  fc.oneof(
    values,
    ...['eq', 'not'].map((operator) => values.map((value) => ({ [operator]: value }))),
    ...['in', 'notIn'].map((operator) =>
      fc.array(values, { maxLength: 3 }).map((several) => ({ [operator]: several })),
    ),
  );
const orders = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<unknown> =>
  fc.oneof(
    ...['gt', 'gte', 'lt', 'lte'].map((operator) => values.map((value) => ({ [operator]: value }))),
  );

const fields = fc.oneof(
  ...Object.entries({
    id: equalities(text),
    name: equalities(text),
    rank: fc.oneof(equalities(whole), orders(whole)),
    score: fc.oneof(equalities(orNull(real)), orders(real)),
    serial: equalities(big),
    active: equalities(fc.boolean()),
    createdAt: fc.oneof(equalities(fewDates), orders(fewDates)),
    readAt: fc.oneof(equalities(orNull(fewDates)), orders(fewDates)),
    detail: fc.constantFrom(null, { not: null }),
  }).map(([field, value]) => value.map((chosen) => ({ [field]: chosen }))),
);

const criteria = fc.letrec<{ criteria: Criteria<Sample> }>((tie) => ({
  criteria: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fields,
    fc.constant({}),
    fc.tuple(fields, fields).map(([one, other]) => ({ ...one, ...other })),
    fc.array(tie('criteria'), { maxLength: 3 }).map((parts) => ({ or: parts })),
    fc.array(tie('criteria'), { maxLength: 3 }).map((parts) => ({ and: parts })),
    tie('criteria').map((part) => ({ not: part })),
  ),
})).criteria;

const orderBy: fc.Arbitrary<OrderBy<Sample>> = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom('id', 'name', 'rank', 'score', 'active', 'createdAt', 'readAt'),
      fc.constantFrom('asc', 'desc'),
    ),
    { maxLength: 3, selector: ([field]) => field },
  )
  .map((parts) => Object.fromEntries(parts) as OrderBy<Sample>);
