import { setImmediate as nextTurn } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { startStandby } from '../../../test/services/databases.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { type OperationEvent, runWithContext, subscribeToOperations } from '../../core/index.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';

const { missing } = await service('postgres');

interface Schema {
  item: { id: number };
}

describe.skipIf(missing)('database postgres › streaming replication', () => {
  let primary: PrivateServer;
  let standby: PrivateServer;

  beforeAll(async () => {
    primary = await startServer('postgres');
    standby = await startStandby(primary);
    await using owner = postgresDatabase({ url: primary.url });
    await sql`create table item (id integer)`.execute(owner.query);
    await sql`create sequence number`.execute(owner.query);
  });

  beforeEach(async () => {
    await using owner = postgresDatabase({ url: primary.url });
    await sql`truncate item`.execute(owner.query);
    await caughtUp();
  });

  afterAll(async () => {
    await standby?.[Symbol.asyncDispose]();
    await primary?.[Symbol.asyncDispose]();
  });

  async function ask(server: PrivateServer, text: string): Promise<unknown> {
    await using database = postgresDatabase({ url: server.url, poolSize: 1 });
    const { rows } = await sql.raw<{ answer: unknown }>(text).execute(database.query);
    return rows[0]?.answer;
  }

  /** Resolves once the standby has all that is on the primary. */
  async function caughtUp(): Promise<void> {
    const sent = await ask(primary, 'select pg_current_wal_lsn()::text as answer');
    const query = `select pg_last_wal_replay_lsn() >= '${String(sent)}' as answer`;
    while ((await ask(standby, query)) !== true) await nextTurn();
  }

  /** From here on the standby lags behind, until the returned function has been called. */
  async function lag(): Promise<() => Promise<void>> {
    await ask(standby, 'select pg_wal_replay_pause() as answer');
    while ((await ask(standby, 'select pg_get_wal_replay_pause_state() as answer')) !== 'paused')
      await nextTurn();
    return async () => {
      await ask(standby, 'select pg_wal_replay_resume() as answer');
      await caughtUp();
    };
  }

  function replicated(): PostgresDatabase<Schema> {
    return postgresDatabase<Schema>({
      url: primary.url,
      replicas: [standby.url],
      connectTimeout: '1s',
    });
  }

  async function ids({ query }: PostgresDatabase<Schema>): Promise<number[]> {
    return (await query.selectFrom('item').select('id').orderBy('id').execute()).map(
      ({ id }) => id,
    );
  }

  async function streamedIds({ query }: PostgresDatabase<Schema>): Promise<number[]> {
    const rows = await Array.fromAsync(query.selectFrom('item').select('id').stream());
    return rows.map(({ id }) => id);
  }

  async function insert({ query }: PostgresDatabase<Schema>, id: number): Promise<void> {
    await query.insertInto('item').values({ id }).execute();
  }

  async function inContext<Result>(fn: () => Promise<Result>): Promise<Result> {
    return await runWithContext({}, fn);
  }

  test('a context sees its own writes, while others see what the replica has', async () => {
    await using database = replicated();
    const resume = await lag();
    await inContext(async () => {
      expect(await ids(database)).toEqual([]);
      await insert(database, 1);
      expect(await ids(database)).toEqual([1]);
      expect(await streamedIds(database)).toEqual([1]);
    });
    await inContext(async () => {
      expect(await ids(database)).toEqual([]);
      expect(await streamedIds(database)).toEqual([]);
      await database.transaction(async () => await insert(database, 2));
      expect(await ids(database)).toEqual([1, 2]);
    });
    await resume();
    expect(await inContext(async () => await ids(database))).toEqual([1, 2]);
  });

  test("a read-only transaction is the replica's, until its context has written", async () => {
    await using database = replicated();
    const resume = await lag();
    const reading = async (): Promise<number[]> =>
      await database.transaction(async () => await ids(database), { readOnly: true });
    await inContext(async () => {
      await inContext(async () => await insert(database, 1));
      expect(await reading()).toEqual([1]);
    });
    await inContext(async () => {
      expect(await reading()).toEqual([]);
    });
    await resume();
  });

  test('an event tells which server answered', async () => {
    await using database = replicated();
    const events: OperationEvent[] = [];
    const stop = subscribeToOperations({ end: (event) => events.push(event) });
    await inContext(async () => {
      await ids(database);
      await insert(database, 1);
      await ids(database);
    });
    stop();
    const { host, pathname } = new URL(standby.url);
    const replica = `${host}${pathname}`;
    expect(events.map(({ attributes }) => attributes['replica'])).toEqual([
      replica,
      undefined,
      undefined,
    ]);
  });

  test('what a standby refuses is done by the primary, and counts as a write', async () => {
    await using database = replicated();
    const resume = await lag();
    await inContext(async () => {
      await ask(primary, 'insert into item values (1) returning id as answer');
      const next = sql<number>`nextval('number')`.as('next');
      expect(await database.query.selectNoFrom(next).execute()).toEqual([{ next: 1 }]);
      expect(await ids(database)).toEqual([1]);
    });
    await inContext(async () => {
      const locked = await database.query.selectFrom('item').select('id').forUpdate().execute();
      expect(locked).toEqual([{ id: 1 }]);
    });
    await resume();
  });

  test('a table that the replica has not got yet is read on the primary', async () => {
    await using database = replicated();
    await database.start();
    const resume = await lag();
    await database.migrate([{ name: 'later', up: 'create table later (id integer)' }]);
    const { query } = database;
    const later = query.selectFrom(sql<{ id: number }>`later`.as('later')).selectAll();
    expect(await inContext(async () => await later.execute())).toEqual([]);
    await resume();
  });

  test('a replica that is killed, or hangs, keeps nobody from reading, and serves again once it is back', async () => {
    await using database = replicated();
    await database.start();
    await insert(database, 1);
    await caughtUp();
    const read = async (): Promise<number[]> => await inContext(async () => await ids(database));
    for (const harm of [async () => await standby.kill(), async () => await standby.pause()]) {
      expect(await database.checkHealth()).toEqual({ status: 'ok' });
      await harm();
      const first = database.query.selectFrom('item').select('id');
      const signal = AbortSignal.timeout(300);
      // Of one that hangs, the first to ask has to find out.
      await inContext(async () => await first.execute({ signal }).catch(() => undefined));
      expect(await read()).toEqual([1]);
      expect(await read()).toEqual([1]);
      const health = await database.checkHealth();
      expect(health.status).toBe('degraded');
      expect(health.message).toContain(new URL(standby.url).host);
      expect(health.message).not.toContain(new URL(standby.url).password);
      await standby.resume();
      await standby.restart();
      while ((await database.checkHealth()).status !== 'ok') await nextTurn();
    }
  });

  test('a replica whose address is wrong keeps nothing from starting', async () => {
    const wrong = new URL(standby.url);
    wrong.password = 'wrong';
    await using database = postgresDatabase<Schema>({ url: primary.url, replicas: [wrong.href] });
    await database.start();
    expect(await ids(database)).toEqual([]);
    const { status, message } = await database.checkHealth();
    expect(status).toBe('degraded');
    expect(message).toContain('password authentication failed');
  });
});
