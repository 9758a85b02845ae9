import { expect, test } from 'vitest';

import { runConformanceCase } from '../core/index.ts';
import type { Condition } from './condition.ts';
import { repositoriesConformance, type Sample, type VersionedSample } from './conformance/index.ts';
import type { DriverFind, Row } from './driver.ts';
import { EntityRepository } from './entity-repository.ts';
import { evaluate } from './evaluate.ts';
import { MemoryRepositoryDriver, memoryRepository } from './memory.ts';

type DriverClass = new (
  collection: string,
  idField: string,
  unique?: readonly (readonly string[])[],
) => MemoryRepositoryDriver;

class GivesAwayWhatItHolds extends MemoryRepositoryDriver {
  override async findByIds(ids: readonly unknown[]): Promise<readonly Row[]> {
    return ids.map((id) => this.native.get(id)).filter((row) => row !== undefined);
  }
}

class InsertsOverWhatIsThere extends MemoryRepositoryDriver {
  override async insert(rows: readonly Row[]): Promise<void> {
    for (const row of rows) await this.upsert(row);
  }
}

class LeavesHalfOfAFailedInsert extends MemoryRepositoryDriver {
  override async insert(rows: readonly Row[]): Promise<void> {
    for (const row of rows) await super.insert([row]);
  }
}

class KnowsNoUniqueFields extends MemoryRepositoryDriver {
  constructor(collection: string, idField: string, _unique?: readonly (readonly string[])[]) {
    super(collection, idField);
  }
}

class SortsNullsLast extends MemoryRepositoryDriver {
  override async find(query: DriverFind): Promise<readonly Row[]> {
    const rows = await super.find({ ...query, limit: undefined });
    const [first] = query.orderBy;
    if (first === undefined) return rows.slice(0, query.limit);
    const isNull = (row: Row): number => ((row[first.field] ?? null) === null ? 1 : 0);
    return rows.toSorted((a, b) => isNull(a) - isNull(b)).slice(0, query.limit);
  }
}

class SortsByFirstFieldOnly extends MemoryRepositoryDriver {
  override async find(query: DriverFind): Promise<readonly Row[]> {
    return await super.find({ ...query, orderBy: query.orderBy.slice(0, 1) });
  }
}

class SortsByUtf16Units extends MemoryRepositoryDriver {
  override async find(query: DriverFind): Promise<readonly Row[]> {
    const rows = await super.find(query);
    const [first] = query.orderBy;
    if (first?.field !== 'name') return rows;
    return rows.toSorted((a, b) => (String(a['name']) < String(b['name']) ? -1 : 1));
  }
}

class IgnoresTheLimit extends MemoryRepositoryDriver {
  override async find(query: DriverFind): Promise<readonly Row[]> {
    return await super.find({ ...query, limit: undefined });
  }
}

class IgnoresTheVersion extends MemoryRepositoryDriver {
  override async replace(row: Row): Promise<boolean> {
    return await super.replace(row, { kind: 'all', of: [] });
  }
}

class ReplacesWhatIsNotThere extends MemoryRepositoryDriver {
  override async replace(row: Row): Promise<boolean> {
    await this.upsert(row);
    return true;
  }
}

class MergesOnUpsert extends MemoryRepositoryDriver {
  override async upsert(row: Row): Promise<void> {
    await super.upsert({ ...this.native.get(row['id']), ...row });
  }
}

class DeletesWithoutCounting extends MemoryRepositoryDriver {
  override async delete(where: Condition): Promise<number> {
    await super.delete(where);
    return 1;
  }
}

class LosesIdsBeyondAThousand extends MemoryRepositoryDriver {
  override async findByIds(ids: readonly unknown[]): Promise<readonly Row[]> {
    return await super.findByIds(ids.slice(0, 1000));
  }
}

class KeepsDatesToTheSecond extends MemoryRepositoryDriver {
  override async insert(rows: readonly Row[]): Promise<void> {
    await super.insert(
      rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([field, value]) => [
            field,
            value instanceof Date ? new Date(value.setMilliseconds(0)) : value,
          ]),
        ),
      ),
    );
  }
}

class KeepsBigintsAsNumbers extends MemoryRepositoryDriver {
  override async findByIds(ids: readonly unknown[]): Promise<readonly Row[]> {
    const rows = await super.findByIds(ids);
    return rows.map((row) => ({ ...row, serial: BigInt(Number(row['serial'])) }));
  }
}

/** A driver whose conditions mean something else. */
function misjudging(judge: (condition: Condition, row: Row) => boolean): DriverClass {
  return class extends MemoryRepositoryDriver {
    override async find({ where, ...query }: DriverFind): Promise<readonly Row[]> {
      const rows = await super.find({ ...query, where: { kind: 'all', of: [] }, limit: undefined });
      return rows.filter((row) => judge(where, row)).slice(0, query.limit);
    }
  };
}

/** As a naive translation to SQL would: what is compared with null is neither true nor false. */
function threeValued(condition: Condition, row: Row): boolean | undefined {
  switch (condition.kind) {
    case 'not': {
      const result = threeValued(condition.of, row);
      return result === undefined ? undefined : !result;
    }
    case 'all':
      return condition.of.every((part) => threeValued(part, row) === true);
    case 'any':
      return condition.of.some((part) => threeValued(part, row) === true);
    case 'compare':
    case 'in':
    default:
      if (condition.kind === 'compare' && condition.value === null) return evaluate(condition, row);
      return (row[condition.field] ?? null) === null ? undefined : evaluate(condition, row);
  }
}

/** As SQL's LIKE would: without regard to case, and with wildcards. */
function like(condition: Condition, row: Row): boolean {
  switch (condition.kind) {
    case 'not':
      return !like(condition.of, row);
    case 'all':
      return condition.of.every((part) => like(part, row));
    case 'any':
      return condition.of.some((part) => like(part, row));
    case 'compare': {
      const value = row[condition.field];
      if (condition.by !== 'contains' || typeof value !== 'string') return evaluate(condition, row);
      const pattern = String(condition.value).replaceAll('%', '.*').replaceAll('_', '.');
      return new RegExp(pattern, 'iu').test(value);
    }
    case 'in':
    default:
      return evaluate(condition, row);
  }
}

const broken: readonly (readonly [flaw: string, driver: DriverClass, caughtBy: string])[] = [
  [
    'gives away what it holds',
    GivesAwayWhatItHolds,
    'insert › keeps no hold of what it was given, and gives away nothing it holds',
  ],
  [
    'inserts over what is there',
    InsertsOverWhatIsThere,
    'insert › a taken id is already-exists, and what is stored stays',
  ],
  [
    'leaves half of a failed insert',
    LeavesHalfOfAFailedInsert,
    'insertMany › one that is taken, and none is added',
  ],
  [
    'knows no unique fields',
    KnowsNoUniqueFields,
    'insert › a taken unique field is already-exists; absent ones are never the same',
  ],
  [
    'sorts nulls last',
    SortsNullsLast,
    'find › sorts nulls first when ascending and last when descending',
  ],
  [
    'sorts by the first field only',
    SortsByFirstFieldOnly,
    'find › sorts by several fields, then by id',
  ],
  ['sorts by UTF-16 units', SortsByUtf16Units, 'find › sorts text by code points'],
  ['ignores the limit', IgnoresTheLimit, 'find › gives at most the limit, the first in order'],
  [
    'ignores the version',
    IgnoresTheVersion,
    'version › of racing updates of one version, one wins',
  ],
  [
    'replaces what is not there',
    ReplacesWhatIsNotThere,
    'update › throws not-found when there is nothing, and adds nothing',
  ],
  ['merges on upsert', MergesOnUpsert, 'save › adds what is new and replaces what is there, whole'],
  [
    'deletes without counting',
    DeletesWithoutCounting,
    'delete › says whether there was one, and leaves the others',
  ],
  [
    'loses ids beyond a thousand',
    LosesIdsBeyondAThousand,
    'findByIds › takes no ids, and five thousand',
  ],
  [
    'keeps dates to the second',
    KeepsDatesToTheSecond,
    'findById › gives an entity as it was stored, every kind of value unchanged',
  ],
  ['keeps bigints as numbers', KeepsBigintsAsNumbers, 'findById › gives the ends of every range'],
  [
    'has a third truth value',
    misjudging((condition, row) => threeValued(condition, row) === true),
    'criteria › not is also true of nulls',
  ],
  [
    'looks for text as LIKE does',
    misjudging(like),
    'criteria › contains tells upper and lower case apart',
  ],
];

test.each(broken)(
  'repositories conformance › a driver that %s is caught',
  async (_flaw, Driver, caughtBy) => {
    const rule = repositoriesConformance.cases.find(({ id }) => id === caughtBy);
    expect(rule, `no case "${caughtBy}"`).toBeDefined();
    if (rule === undefined) return;
    const result = await runConformanceCase(rule, {
      adapter: 'broken',
      capabilities: memoryRepository().capabilities,
      create: async () => ({
        repository: new EntityRepository<Sample>(new Driver('samples', 'id', [['code']])),
        versioned: new EntityRepository<VersionedSample>(new Driver('versioned', 'id'), {
          version: 'version',
        }),
      }),
      dispose: async () => undefined,
    });
    expect(result.status).toBe('failed');
  },
);

test('repositories conformance › a driver that only claims transactions is caught by every case of them', async () => {
  for (const rule of repositoriesConformance.cases.filter(({ requires }) =>
    requires?.includes('transactions'),
  )) {
    const result = await runConformanceCase(rule, {
      adapter: 'claiming',
      capabilities: { ...memoryRepository().capabilities, transactions: true },
      create: async () => ({
        repository: new EntityRepository<Sample>(
          new MemoryRepositoryDriver('samples', 'id', [['code']]),
        ),
        versioned: new EntityRepository<VersionedSample>(
          new MemoryRepositoryDriver('versioned', 'id'),
          { version: 'version' },
        ),
        transaction: async (fn) => await fn(),
      }),
      dispose: async () => undefined,
    });
    // What needs no isolation may pass: a call that fails inside of a transaction does no harm outside of one either.
    if (rule.id.includes('leaves the rest of it usable')) continue;
    expect(result).toMatchObject({ id: rule.id, status: 'failed' });
  }
});

test('repositories conformance › a driver that sorts by what it says it cannot is caught', async () => {
  const rule = repositoriesConformance.cases.find(
    ({ id }) => id === 'find › sorts bigints by their value',
  );
  if (rule === undefined) throw new Error('the case is gone');
  const result = await runConformanceCase(rule, {
    adapter: 'pretending',
    capabilities: { ...memoryRepository().capabilities, bigintOrder: false },
    create: async () => ({
      repository: memoryRepository<Sample>(),
      versioned: memoryRepository<VersionedSample>({ version: 'version' }),
    }),
    dispose: async () => undefined,
  });
  expect(result.status).toBe('failed');
});
