import { inspect } from 'node:util';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { makePostgresDatabase, type TestDatabase } from '../../../test/services/databases.ts';
import { type Proxy, startProxy } from '../../../test/services/proxy.ts';
import { service } from '../../../test/services/services.ts';
import { InfrastructureError, type Outcome, subscribeToOperations } from '../../core/index.ts';
import { type PostgresDatabaseOptions, postgresDatabase } from '../../database/postgres/index.ts';
import type { JobQueue } from '../queue.ts';
import { defineJob } from '../job.ts';
import { sqlQueue } from './index.ts';

const { missing } = await service('postgres');

const canary = 'canary-payload';
const secret = 'canary-password';
const job = defineJob({ name: 'job', payload: z.object({ text: z.string() }) });

interface Provocation {
  readonly what: string;
  readonly options?: (target: URL) => Partial<PostgresDatabaseOptions>;
  /** Runs before the call, and gives what ends its effect. */
  readonly arrange?: (scene: Scene) => Promise<(() => Promise<void>) | void>;
  /** Default: an enqueue. */
  readonly act?: (scene: Scene) => Promise<unknown>;
  readonly expected: {
    readonly code: string;
    readonly outcome: Outcome;
    readonly retryable: boolean;
    readonly message: RegExp;
  };
}

interface Scene {
  readonly queue: JobQueue;
  readonly database: ReturnType<typeof postgresDatabase>;
  readonly admin: ReturnType<typeof postgresDatabase>;
  readonly proxy: Proxy;
}

/** A role without rights. Roles belong to the server, which other tests share. */
const guest = `underpin_guest_${process.pid}`;

/** As that role. */
const asGuest = (target: URL): PostgresDatabaseOptions => {
  const url = new URL(target);
  url.username = guest;
  url.password = secret;
  return { url: url.href };
};

const provocations: readonly Provocation[] = [
  {
    what: 'a wrong password',
    options: () => ({ password: secret }),
    expected: {
      code: 'unauthenticated',
      outcome: 'not-applied',
      retryable: false,
      message: /password/,
    },
  },
  {
    what: 'a database that is not there',
    options: (target) => ({ url: new URL('/nowhere', target).href }),
    expected: { code: 'not-found', outcome: 'not-applied', retryable: false, message: /nowhere/ },
  },
  {
    what: 'a server that is not there',
    options: (target) => {
      const url = new URL(target);
      url.port = '1';
      return { url: url.href };
    },
    expected: {
      code: 'unavailable',
      outcome: 'not-applied',
      retryable: true,
      message: /127\.0\.0\.1:1/,
    },
  },
  {
    what: 'a role that may make no table, where none is made yet',
    options: asGuest,
    arrange: async ({ admin }) => {
      await sql`alter table underpin_migration rename to hidden_migration`.execute(admin.query);
      return async () => {
        await sql`alter table hidden_migration rename to underpin_migration`.execute(admin.query);
      };
    },
    expected: {
      code: 'permission-denied',
      outcome: 'not-applied',
      retryable: false,
      message: /grant/,
    },
  },
  {
    what: 'a role that may not write the table',
    options: asGuest,
    arrange: async ({ admin }) => {
      await sql`grant select, insert on underpin_migration to ${sql.id(guest)}`.execute(
        admin.query,
      );
      await sql`grant create on schema public to ${sql.id(guest)}`.execute(admin.query);
      await sql`grant select on underpin_job to ${sql.id(guest)}`.execute(admin.query);
    },
    expected: {
      code: 'permission-denied',
      outcome: 'not-applied',
      retryable: false,
      message: /underpin_job.*grant/,
    },
  },
  {
    what: 'a server that is read-only',
    arrange: async ({ admin, proxy }) => {
      const name = sql.id(new URL(proxy.url).pathname.slice(1));
      await sql`alter database ${name} set default_transaction_read_only = on`.execute(admin.query);
      return async () => {
        await sql`alter database ${name} reset default_transaction_read_only`.execute(admin.query);
      };
    },
    expected: {
      code: 'permission-denied',
      outcome: 'not-applied',
      retryable: false,
      message: /read-only/,
    },
  },
  {
    what: 'a table that somebody has locked for longer than a statement may take',
    options: () => ({ statementTimeout: 200 }),
    arrange: async ({ queue, admin }) => {
      await queue.start();
      const { promise: end, resolve } = Promise.withResolvers<void>();
      const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
      const locking = admin.transaction(async () => {
        await sql`lock table underpin_job`.execute(admin.query);
        isLocked();
        await end;
      });
      await locked;
      return async () => {
        resolve();
        await locking;
      };
    },
    expected: {
      code: 'deadline-exceeded',
      outcome: 'not-applied',
      retryable: false,
      message: /statementTimeout/,
    },
  },
  {
    what: 'no connection that is free',
    options: () => ({ poolSize: 1, waitTimeout: 50 }),
    arrange: async ({ queue, database }) => {
      await queue.start();
      const { promise: end, resolve } = Promise.withResolvers<void>();
      const { promise: begun, resolve: isBegun } = Promise.withResolvers<void>();
      const holding = database.transaction(async () => {
        isBegun();
        await end;
      });
      await begun;
      return async () => {
        resolve();
        await holding;
      };
    },
    expected: {
      code: 'resource-exhausted',
      outcome: 'not-applied',
      retryable: true,
      message: /connections/,
    },
  },
  {
    what: 'a connection that is cut before the answer',
    arrange: async ({ queue, proxy }) => {
      await queue.start();
      proxy.stall('answer');
    },
    act: async ({ queue, proxy }) => {
      const enqueuing = queue.enqueue(job, { text: canary });
      enqueuing.catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await proxy.refuse();
      return await enqueuing;
    },
    expected: { code: 'unavailable', outcome: 'unknown', retryable: true, message: /lost/ },
  },
  {
    what: 'a transaction that has failed already',
    arrange: async ({ queue }) => await queue.start(),
    act: async ({ queue, database }) =>
      await database.transaction(async () => {
        await sql`select 1 / 0`.execute(database.query).catch(() => undefined);
        await queue.enqueue(job, { text: canary });
      }),
    expected: {
      code: 'failed-precondition',
      outcome: 'not-applied',
      retryable: false,
      message: /earlier statement|rolled back/,
    },
  },
  {
    what: 'a signal that is aborted meanwhile',
    arrange: async ({ queue, proxy }) => {
      await queue.start();
      proxy.delay(300);
    },
    act: async ({ queue }) =>
      await queue.enqueue(job, { text: canary }, { signal: AbortSignal.timeout(50) }),
    expected: {
      code: 'deadline-exceeded',
      outcome: 'unknown',
      retryable: true,
      message: /./,
    },
  },
];

describe.skipIf(missing)('sqlQueue on PostgreSQL › errors', () => {
  let target: TestDatabase;
  let admin: ReturnType<typeof postgresDatabase>;

  beforeAll(async () => {
    target = await makePostgresDatabase();
    admin = postgresDatabase({ url: target.url });
    await using queue = sqlQueue({ database: admin });
    await queue.start();
    await sql`drop role if exists ${sql.id(guest)}`.execute(admin.query);
    await sql`create role ${sql.id(guest)} login password ${sql.lit(secret)}`.execute(admin.query);
  });

  afterAll(async () => {
    await sql`drop owned by ${sql.id(guest)}`.execute(admin.query);
    await sql`drop role ${sql.id(guest)}`.execute(admin.query);
    await admin?.close();
    await target?.remove();
  });

  it('a role that may only read and write the tables needs no more, once they are there', async () => {
    await sql`grant select, insert, update, delete on underpin_job to ${sql.id(guest)}`.execute(
      admin.query,
    );
    await sql`grant select on underpin_migration to ${sql.id(guest)}`.execute(admin.query);
    await using database = postgresDatabase(asGuest(new URL(target.url)));
    await using queue = sqlQueue({ database });
    const { id } = await queue.enqueue(job, { text: 'a' });
    expect(await queue.remove(id)).toBe(true);
    await sql`drop owned by ${sql.id(guest)}`.execute(admin.query);
  });

  it.each(provocations)('$what', async ({ options, arrange, act, expected }) => {
    await using proxy = await startProxy(target.url);
    const events: unknown[] = [];
    const unsubscribe = subscribeToOperations({ end: (event) => void events.push(event) });
    await using database = postgresDatabase({
      url: proxy.url,
      ...options?.(new URL(proxy.url)),
    });
    await using queue = sqlQueue({ database });
    const scene = { queue, database, admin, proxy };
    const undo = await arrange?.(scene);
    let error: unknown;
    try {
      await (act === undefined ? queue.enqueue(job, { text: canary }) : act(scene));
    } catch (thrown) {
      error = thrown;
    } finally {
      await proxy.heal();
      await undo?.();
      unsubscribe();
    }
    if (!InfrastructureError.is(error)) throw new Error('no such error', { cause: error });
    const { code, outcome, retryable, message } = error;
    expect({ code, outcome, retryable }).toEqual({
      code: expected.code,
      outcome: expected.outcome,
      retryable: expected.retryable,
    });
    expect(message).toMatch(expected.message);
    const password = new URL(target.url).password;
    const shown = [message, JSON.stringify(error), inspect(error, { depth: 20 })];
    shown.push(inspect(events, { depth: 20 }), JSON.stringify(events));
    for (const text of shown)
      for (const hidden of [canary, secret, password]) expect(text).not.toContain(hidden);
  });
});
