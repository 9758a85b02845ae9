import type { CompiledQuery } from 'kysely';
import { describe, expect, it } from 'vitest';

import { runConformanceCase, systemClock } from '../core/index.ts';
import { type ConformanceSchema, databaseConformance } from './conformance.ts';
import { Database } from './database.ts';
import type { DatabaseDriver, DriverTransaction, StatementResult } from './driver.ts';
import { SqliteDriver } from './sqlite/sqlite-driver.ts';
import type { TableDescription } from './table-description.ts';

type Break = (driver: DatabaseDriver) => Partial<DatabaseDriver>;

function working(): DatabaseDriver {
  return new SqliteDriver({
    file: ':memory:',
    synchronous: 'normal',
    waitTimeout: 500,
    clock: systemClock,
  });
}

/** The working driver with some of its methods replaced. */
function overriding<Target extends object>(target: Target, overrides: Partial<Target>): Target {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(name in overrides ? overrides : target, name);
      if (typeof value !== 'function' || name in overrides) return value;
      return (value as (...values: unknown[]) => unknown).bind(target);
    },
  });
}

function transactions(
  change: (transaction: DriverTransaction) => Partial<DriverTransaction>,
): Break {
  return (driver) => ({
    begin: async (signal) => {
      const transaction = await driver.begin(signal);
      return overriding(transaction, change(transaction));
    },
  });
}

function results(
  change: (result: StatementResult, query: CompiledQuery) => StatementResult,
): Break {
  return (driver) => ({
    execute: async (query, signal, rowMode) =>
      change(await driver.execute(query, signal, rowMode), query),
  });
}

function mapValues(result: StatementResult, change: (value: unknown) => unknown): StatementResult {
  const rows = result.rows.map((row) =>
    Array.isArray(row)
      ? (row.map(change) as unknown as typeof row)
      : Object.fromEntries(Object.entries(row).map(([name, value]) => [name, change(value)])),
  );
  return { ...result, rows };
}

function asArrays(result: StatementResult): StatementResult {
  // In this row mode the driver's interface calls an array a row.
  const rows = result.rows.map((row) => Object.values(row) as unknown as typeof row);
  return { ...result, rows };
}

function describing(
  change: (tables: readonly TableDescription[]) => readonly TableDescription[],
): Break {
  return ({ dialect }) => ({
    dialect: {
      ...dialect,
      describeSchema: async (query) => change(await dialect.describeSchema(query)),
    },
  });
}

const brokenDrivers: Readonly<Record<string, Break>> = {
  'forgets to commit': transactions((transaction) => ({ commit: () => transaction.rollback() })),
  'commits in place of rolling back': transactions((transaction) => ({
    rollback: () => transaction.commit(),
  })),
  'has no savepoints': transactions(() => ({
    savepoint: () => undefined,
    rollbackToSavepoint: () => undefined,
    releaseSavepoint: () => undefined,
  })),
  'rolls back more than the savepoint': transactions((transaction) => {
    let first = '';
    return {
      savepoint: (name) => {
        first ||= name;
        return transaction.savepoint(name);
      },
      rollbackToSavepoint: () => transaction.rollbackToSavepoint(first),
    };
  }),
  'runs statements of a transaction outside of it': (driver) => ({
    begin: async () => ({
      ...noTransaction,
      execute: async (query: CompiledQuery) => await driver.execute(query),
      executeMany: async (query: CompiledQuery, rows: readonly (readonly unknown[])[]) => {
        for (const parameters of rows) await driver.execute({ ...query, parameters });
        return { rows: [], numAffectedRows: BigInt(rows.length) };
      },
      stream: (query, options) => driver.stream(query, options),
      script: () => undefined,
    }),
  }),
  'stops executeMany silently at the first failure': transactions((transaction) => ({
    executeMany: async (query, rows) => {
      let count = 0n;
      for (const row of rows) {
        try {
          await transaction.executeMany(query, [row]);
          count += 1n;
        } catch {
          break;
        }
      }
      return { rows: [], numAffectedRows: count };
    },
  })),
  'rounds large integers': results((result) =>
    mapValues(result, (value) => (typeof value === 'bigint' ? Number(value) : value)),
  ),
  'gives every integer as bigint': results((result) =>
    mapValues(result, (value) => (Number.isInteger(value) ? BigInt(value as number) : value)),
  ),
  'cuts text at NUL': results((result) =>
    mapValues(result, (value) => (typeof value === 'string' ? value.split('\0')[0] : value)),
  ),
  'gives bytes as text': results((result) =>
    mapValues(result, (value) =>
      value instanceof Uint8Array ? new TextDecoder().decode(value) : value,
    ),
  ),
  'gives rows as objects when asked for arrays': (driver) => ({
    execute: async (query, signal) => await driver.execute(query, signal),
  }),
  'gives arrays outside of transactions alone': transactions((transaction) => ({
    execute: async (query, signal) => await transaction.execute(query, signal),
  })),
  'loses the second of two columns of one name': (driver) => ({
    execute: async (query, signal, rowMode) => {
      const result = await driver.execute(query, signal);
      return rowMode === 'array' ? asArrays(result) : result;
    },
  }),
  'gives arrays as the engine does, with large integers rounded': (driver) => ({
    execute: async (query, signal, rowMode) => {
      const result = await driver.execute(query, signal, rowMode);
      return rowMode === 'array'
        ? mapValues(result, (value) => (typeof value === 'bigint' ? Number(value) : value))
        : result;
    },
  }),
  'does not count rows': results(({ rows }) => ({ rows })),
  'gives no rows of an update': results((result, { query }) =>
    query.kind === 'UpdateQueryNode' ? { ...result, rows: [] } : result,
  ),
  'knows no constraint': () => ({ classify: () => undefined }),
  'names another column': (driver) => ({
    classify: (error) => {
      const classification = driver.classify(error);
      const { columns } = classification?.details ?? {};
      return classification === undefined || columns === undefined
        ? classification
        : { ...classification, details: { ...classification.details, columns: ['other'] } };
    },
  }),
  'tells of a foreign key only that it is one': (driver) => ({
    classify: (error) => {
      const classification = driver.classify(error);
      return classification?.details?.['constraint'] === 'foreign-key'
        ? { ...classification, details: { constraint: 'foreign-key' } }
        : classification;
    },
  }),
  'blames the caller for everything': () => ({ classify: () => ({ code: 'invalid-argument' }) }),
  'gives a stream twice': (driver) => ({
    stream: async function* (query, options) {
      yield* driver.stream(query, options);
      yield* driver.stream(query, options);
    },
  }),
  'ends a stream after its first chunk': (driver) => ({
    stream: async function* (query, options) {
      for await (const chunk of driver.stream(query, options)) {
        yield chunk;
        return;
      }
    },
  }),
  'returns no rows of a write': results((result, { query }) =>
    query.kind === 'SelectQueryNode' || query.kind === 'RawNode' ? result : { ...result, rows: [] },
  ),
  'gives a stream in one chunk': (driver) => ({
    stream: (query, options) => driver.stream(query, { ...options, chunkSize: 1_000_000 }),
  }),
  'keeps a savepoint that was gone back to once': transactions((transaction) => ({
    savepoint: (name) => (gone.has(transaction) ? undefined : transaction.savepoint(name)),
    rollbackToSavepoint: (name) => {
      if (gone.has(transaction)) return undefined;
      gone.add(transaction);
      return transaction.rollbackToSavepoint(name);
    },
    releaseSavepoint: (name) =>
      gone.has(transaction) ? undefined : transaction.releaseSavepoint(name),
  })),
  'drains without waiting': () => ({ drain: async () => undefined }),
  'waits for the writer in spite of an abort': (driver) => ({
    begin: async () => await driver.begin(),
  }),
  'keeps the connection after a failed transaction': (driver) => ({
    begin: async (signal) => {
      const transaction = await driver.begin(signal);
      return overriding(transaction, { rollback: () => undefined });
    },
  }),
  'lets read-only transactions write': (driver) => ({
    begin: async (options) => await driver.begin({ ...options, readOnly: false }),
  }),
  'stays read-only after a transaction that was': (driver) => {
    let stays = false;
    return {
      begin: async (options) => {
        stays ||= options?.readOnly ?? false;
        return await driver.begin({ ...options, readOnly: stays });
      },
    };
  },
  'claims transactions beside another': (driver) => ({
    capabilities: { ...driver.capabilities, independentTransactions: true },
  }),
  'claims reads beside a transaction': (driver) => ({
    capabilities: { ...driver.capabilities, concurrentReads: true },
  }),
  'describes no tables': describing(() => []),
  'describes tables without their columns': describing((tables) =>
    tables.map((table) => ({ ...table, columns: [] })),
  ),
  'describes tables without their indexes': describing((tables) =>
    tables.map((table) => ({ ...table, rules: {} })),
  ),
  'describes the same schema differently each time': describing((tables) =>
    tables.map((table) => ({ ...table, rules: { time: String(process.hrtime.bigint()) } })),
  ),
  'is never down': () => ({ close: async () => undefined }),
};

const noTransaction: Pick<
  DriverTransaction,
  'commit' | 'rollback' | 'savepoint' | 'rollbackToSavepoint' | 'releaseSavepoint'
> = {
  commit: () => undefined,
  rollback: () => undefined,
  savepoint: () => undefined,
  rollbackToSavepoint: () => undefined,
  releaseSavepoint: () => undefined,
};

/** Transactions that have gone back to a savepoint. */
const gone = new WeakSet<DriverTransaction>();

async function failures(change: Break): Promise<string[]> {
  const failed: string[] = [];
  for (const conformanceCase of databaseConformance.cases) {
    const drivers: DatabaseDriver[] = [];
    const driver = working();
    const broken = overriding(driver, change(driver));
    const result = await runConformanceCase(conformanceCase, {
      adapter: 'broken',
      capabilities: broken.capabilities,
      create: async () => {
        drivers.push(driver);
        return new Database<ConformanceSchema>(broken);
      },
      dispose: async () => {
        for (const each of drivers) await each.close();
      },
    });
    if (result.status === 'failed') failed.push(result.id);
    // One is enough to catch it.
    if (failed.length > 0) break;
  }
  return failed;
}

describe('database conformance', () => {
  it('states each rule once', () => {
    const ids = databaseConformance.cases.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('lets the working driver through', async () => {
    expect(await failures(() => ({}))).toEqual([]);
  });

  it.for(Object.keys(brokenDrivers))('catches a driver that %s', async (name) => {
    expect(await failures(brokenDrivers[name] ?? (() => ({})))).not.toEqual([]);
  });
});
