import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { type Proxy, startProxy } from '../../../test/services/proxy.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { noPolicy } from '../../core/index.ts';
import { type PostgresDatabase, postgresDatabase } from './index.ts';

// Beside what every server's adapter is held to, in test/database/servers.

const { missing } = await service('postgres');

interface Schema {
  item: { name: string };
}

describe.skipIf(missing)('database postgres › outages', () => {
  let server: PrivateServer;
  let proxy: Proxy;
  let database: PostgresDatabase<Schema>;

  beforeAll(async () => {
    server = await startServer('postgres');
    await using owner = postgresDatabase({ url: server.url });
    await sql`create table item (name text)`.execute(owner.query);
  });

  beforeEach(async () => {
    proxy = await startProxy(server.url);
    database = postgresDatabase<Schema>({ url: proxy.url, policy: noPolicy });
    await database.query.deleteFrom('item').execute();
  });

  afterEach(async () => {
    await database.close();
    await proxy[Symbol.asyncDispose]();
  });

  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test('connections that a restart ended while they were idle fail nobody', async () => {
    // The default policy, and straight to the server.
    await using pooled = postgresDatabase<Schema>({ url: server.url });
    const atOnce = async (): Promise<unknown> =>
      await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const write = async (): Promise<unknown> =>
            await pooled.query.insertInto('item').values({ name: 'a' }).execute();
          await (index % 2 === 0 ? write() : pooled.transaction(write));
        }),
      );
    await atOnce();
    for (let restart = 0; restart < 3; restart += 1) {
      await (restart === 1 ? server.kill() : Promise.resolve());
      await server.restart();
      await atOnce();
    }
    const rows = await pooled.query.selectFrom('item').selectAll().execute();
    expect(rows).toHaveLength(80);
    // The last one goes back to the pool at the end of its turn.
    await nextTurn();
    expect(pooled.native.pool.totalCount).toBe(pooled.native.pool.idleCount);
  });

  test('whoever listens is told when a lost connection is back, and hears again', async () => {
    const heard: (string | undefined)[] = [];
    const stop = database.listen('news', (payload) => heard.push(payload));
    const until = async (
      payload: string | undefined,
      poke: () => Promise<unknown>,
    ): Promise<void> => {
      while (!heard.includes(payload)) {
        await poke().catch(() => undefined);
        await sleep(20);
      }
      heard.length = 0;
    };
    const notify = async (): Promise<unknown> =>
      await sql`select pg_notify('news', 'now')`.execute(database.query);
    await until('now', notify);
    await server.kill();
    await server.restart();
    await until(undefined, async () => undefined);
    await until('now', notify);
    proxy.cut();
    await until(undefined, async () => undefined);
    await until('now', notify);
    stop();
    expect(heard).toEqual([]);
  });
});
