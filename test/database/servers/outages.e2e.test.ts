import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { InfrastructureError, noPolicy } from '../../../src/core/index.ts';
import { type Proxy, startProxy } from '../../services/proxy.ts';
import { type PrivateServer, startServer } from '../../services/servers.ts';
import { type ServerDatabase, type ServerTarget, targets } from './targets.ts';

const canary = 'canary-payload';

interface Schema {
  item: { name: string };
}

interface Scene {
  readonly target: ServerTarget;
  readonly server: PrivateServer;
  readonly proxy: Proxy;
  readonly database: ServerDatabase<Schema>;
}

/** The call that fails, what is done meanwhile, and how it fails. */
interface Outage {
  readonly what: string;
  readonly call: (scene: Scene) => Promise<unknown>;
  readonly error: {
    readonly code: string;
    readonly outcome: string;
    readonly retryable: boolean;
  };
}

const lost = { code: 'unavailable', outcome: 'unknown', retryable: true };
const notSent = { code: 'unavailable', outcome: 'not-applied', retryable: true };

async function insert({ database }: Scene, signal?: AbortSignal): Promise<unknown> {
  return await database.query.insertInto('item').values({ name: canary }).execute({ signal });
}

/** Fails the harm's way while the server works on a statement. */
async function whileRunning(scene: Scene, harm: () => Promise<void> | void): Promise<unknown> {
  const { database, server, target } = scene;
  const write = sql`insert into item select concat(${sql.lit(canary)}, ${sql.raw(target.sleep(600))})`;
  const failed = write.execute(database.query).catch((error: unknown) => error);
  await sleep(200);
  await harm();
  const error = await failed;
  // A server that was not told goes on with it.
  await server.restart();
  throw error;
}

const outages: readonly Outage[] = [
  {
    what: 'a write to a server that is dead',
    call: async (scene) => {
      await scene.database.close();
      await using fresh = scene.target.open<Schema>({ url: scene.proxy.url, policy: noPolicy });
      await scene.proxy.refuse();
      return await insert({ ...scene, database: fresh });
    },
    error: notSent,
  },
  {
    what: 'a write whose connection is cut while the server works on it',
    call: async (scene) => await whileRunning(scene, () => scene.proxy.cut()),
    error: lost,
  },
  {
    what: 'a write whose server is killed while it works on it',
    call: async (scene) => await whileRunning(scene, async () => await scene.server.kill()),
    error: lost,
  },
  {
    what: 'a write that an administrator ends',
    call: async (scene) =>
      await whileRunning(scene, async () => {
        const { target, server } = scene;
        await using other = target.open({ url: server.url });
        for (let ended = 0; ended === 0;) {
          const { rows } = await target.running(target.sleep(600)).execute(other.query);
          for (const { id } of rows) await target.terminate(id).execute(other.query);
          ended = rows.length;
        }
      }),
    error: lost,
  },
  {
    what: 'a write that is done, and whose answer is lost',
    call: async (scene) => {
      scene.proxy.cutAfter(0, 'answer');
      return await insert(scene);
    },
    error: lost,
  },
  {
    what: 'a write to a server that hangs, until its deadline',
    call: async (scene) => {
      await scene.server.pause();
      return await insert(scene, AbortSignal.timeout(300));
    },
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a write that must connect to a server that hangs',
    call: async (scene) => {
      await using fresh = scene.target.open<Schema>({
        url: scene.proxy.url,
        policy: noPolicy,
        connectTimeout: 300,
      });
      await scene.server.pause();
      return await insert({ ...scene, database: fresh });
    },
    error: notSent,
  },
  {
    what: 'a transaction whose connection is cut before its commit',
    call: async (scene) =>
      await scene.database.transaction(async () => {
        await insert(scene);
        scene.proxy.cut();
        await insert(scene);
      }),
    error: notSent,
  },
  {
    what: 'a transaction whose answer to the commit is lost',
    call: async (scene) =>
      await scene.database.transaction(async () => {
        await insert(scene);
        scene.proxy.cutAfter(0, 'answer');
      }),
    error: lost,
  },
  {
    what: 'a transaction whose server hangs, until its deadline',
    call: async (scene) =>
      await scene.database.transaction(
        async () => {
          await insert(scene);
          await scene.server.pause();
          await insert(scene);
        },
        { signal: AbortSignal.timeout(1000) },
      ),
    error: { code: 'deadline-exceeded', outcome: 'not-applied', retryable: true },
  },
  {
    what: 'a transaction whose server hangs at the commit, until its deadline',
    call: async (scene) => {
      const controller = new AbortController();
      return await scene.database.transaction(
        async () => {
          await insert(scene);
          await scene.server.pause();
          setTimeout(() => {
            controller.abort(new DOMException('late', 'TimeoutError'));
          }, 100);
        },
        { signal: controller.signal },
      );
    },
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a transaction that cannot begin',
    call: async (scene) => {
      scene.proxy.cutAfter(0, 'request');
      return await scene.database.transaction(async () => undefined);
    },
    error: notSent,
  },
  {
    what: 'a migration of a server that hangs, until it is cancelled',
    call: async (scene) => {
      await scene.server.pause();
      const controller = new AbortController();
      setTimeout(() => {
        controller.abort();
      }, 100);
      return await scene.database.migrate([], { signal: controller.signal });
    },
    error: { code: 'cancelled', outcome: 'unknown', retryable: false },
  },
  {
    what: 'a stream whose connection is cut between two rows',
    call: async (scene) => {
      const rows = scene.database.query
        .selectFrom(sql<{ n: number }>`${sql.raw(scene.target.numbers(1_000_000))}`.as('n'))
        .selectAll()
        .stream(1);
      for await (const _ of rows) scene.proxy.cut();
    },
    error: lost,
  },
];

for (const target of targets)
  describe.skipIf(target.missing)(`database ${target.engine} › outages`, () => {
    let server: PrivateServer;
    let proxy: Proxy;
    let database: ServerDatabase<Schema>;

    beforeAll(async () => {
      server = await startServer(target.server);
      await using owner = target.open({ url: server.url });
      await sql`create table item (name varchar(200))`.execute(owner.query);
    });

    beforeEach(async () => {
      proxy = await startProxy(server.url);
      database = target.open<Schema>({ url: proxy.url, policy: noPolicy });
      await database.query.deleteFrom('item').execute();
    });

    afterEach(async () => {
      await server.heal();
      await database.close();
      await proxy[Symbol.asyncDispose]();
    });

    afterAll(async () => await server?.[Symbol.asyncDispose]());

    test.each(outages)(
      '$what is $error.code, $error.outcome',
      async ({ call, error: expected }) => {
        const error: unknown = await call({ target, server, proxy, database }).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).toBeInstanceOf(InfrastructureError);
        expect(error).toMatchObject(expected);
        const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
        expect(shown).not.toContain(new URL(server.url).password);
        expect(shown).not.toContain(canary);
      },
    );

    test('the same database goes on once the server is back, whatever was done to it', async () => {
      const harms: (() => Promise<void>)[] = [
        async () => await server.kill(),
        async () => await proxy.refuse(),
        async () => {
          proxy.cut();
        },
        async () => await server.pause(),
      ];
      for (const harm of harms) {
        await Promise.all([1, 2, 3].map(async () => await sql`select 1`.execute(database.query)));
        await harm();
        const signal = AbortSignal.timeout(500);
        await sql`select 1`.execute(database.query, { signal }).catch(() => undefined);
        await server.heal();
        await proxy.heal();
        // Connections that were lost meanwhile may each fail once.
        for (let attempt = 0; attempt < 20; attempt += 1)
          if ((await database.checkHealth()).status === 'ok') break;
        await database.transaction(async () => await insert({ target, server, proxy, database }));
      }
      expect(await database.query.selectFrom('item').selectAll().execute()).toHaveLength(4);
    });

    test('a policy sends again what may be, so that a restart of the server is not seen', async () => {
      await using patient = target.open<Schema>({ url: proxy.url });
      await patient.query.selectFrom('item').selectAll().execute();
      proxy.cut();
      expect(await patient.query.selectFrom('item').selectAll().execute()).toEqual([]);
      proxy.cut();
      await patient.transaction(
        async () => await insert({ target, server, proxy, database: patient }),
      );
      expect(await patient.query.selectFrom('item').selectAll().execute()).toHaveLength(1);
    });
  });
