import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { noPolicy } from '../../src/core/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { type Proxy, startProxy } from '../services/proxy.ts';
import { type PrivateServer, startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { Load, verifyBalances } from './load.ts';
import { Random } from './random.ts';
import { makeAccounts, type Tables } from './transfers.ts';

// For as long as you like: CHAOS_ROUNDS=50 CHAOS_SEED=7 npm test -- test/database/chaos
const rounds = Number(process.env['CHAOS_ROUNDS'] ?? 2);
const seed = Number(process.env['CHAOS_SEED'] ?? 20_261_127);

const poolSize = 6;
const callers = 12;
const { missing } = await service('postgres');

/** What harms are done with. */
interface Scene {
  readonly server: PrivateServer;
  /** The way to the server that is never damaged. */
  readonly direct: string;
  readonly proxy: Proxy;
  readonly random: Random;
}

type Harm = (scene: Scene) => Promise<void>;

/** Each leaves the server serving. */
const harmsOfTheServer: readonly Harm[] = [
  async ({ server }) => {
    await server.kill();
    await server.restart();
  },
  // One process of a server: the others end theirs, and recover what was committed.
  async ({ direct }) => {
    const rows = await ask(
      direct,
      `select pid from pg_stat_activity
        where datname = current_database() and application_name = 'underpin' limit 1`,
    );
    for (const { pid } of rows) process.kill(pid, 'SIGKILL');
  },
  async ({ server }) => {
    await server.restart();
    await server.restart();
  },
  async ({ direct }) => {
    await ask(
      direct,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`,
    );
  },
];

const harmsOfTheNetwork: readonly Harm[] = [
  async ({ proxy }) => proxy.cut(),
  // In the midst of a message, and of a commit if it comes to that.
  async ({ proxy, random }) => await cutAfter(proxy, random.between(0, 3000), 'request'),
  async ({ proxy, random }) => await cutAfter(proxy, random.between(0, 3000), 'answer'),
  async ({ proxy }) => await proxy.refuse(),
  async ({ proxy }) => {
    proxy.stall();
    await expectNoAnswer(proxy.url);
  },
  // What is done, and nobody hears of.
  async ({ proxy }) => {
    proxy.stall('answer');
    await expectNoAnswer(proxy.url);
  },
  async ({ proxy, random }) => await cutAfter(proxy, random.between(0, 100), 'answer'),
];

/** Runs it on a connection of its own. */
async function ask(url: string, text: string): Promise<readonly { readonly pid: number }[]> {
  await using database = postgresDatabase({
    url,
    poolSize: 1,
    policy: noPolicy,
    applicationName: 'test',
  });
  const { rows } = await sql.raw<{ pid: number }>(text).execute(database.query);
  return rows;
}

/** Resolves once it has cut a connection. */
async function cutAfter(
  proxy: Proxy,
  bytes: number,
  direction: 'request' | 'answer',
): Promise<void> {
  proxy.cutAfter(bytes, direction);
  for (let isCut = false; !isCut;)
    isCut = await ask(proxy.url, 'select 1').then(
      () => false,
      () => true,
    );
}

async function expectNoAnswer(url: string): Promise<void> {
  await using database = postgresDatabase({ url, connectTimeout: 500, policy: noPolicy });
  await assert.rejects(async () => await database.start(), { code: 'unavailable' });
}

async function untilItServes(url: string): Promise<void> {
  for (let serves = false; !serves;)
    serves = await ask(url, 'select 1').then(
      () => true,
      () => false,
    );
}

describe.skipIf(missing)('database › chaos', { timeout: rounds * 300_000 }, () => {
  let server: PrivateServer;

  beforeAll(async () => {
    server = await startServer('postgres');
  });

  afterAll(async () => await server?.[Symbol.asyncDispose]());

  /**
   * The load on a database of its own, each harm done in its midst, and what is there compared with what was told. Gives how many
   * felt it.
   */
  async function endure(harms: readonly Harm[]): Promise<number> {
    await using own = await makePostgresDatabase(server.url);
    await using proxy = await startProxy(own.url);
    await using database = postgresDatabase<Tables>({ url: proxy.url, poolSize });
    await makeAccounts(database);
    const scene = { server, direct: own.url, proxy, random: new Random(seed) };
    const load = new Load(database, seed, callers);
    // A pass in which no answer to a commit was lost has shown too little: it goes on until one is.
    const hasShownAll = (round: number): boolean =>
      round >= 10 * rounds || (round >= rounds && load.count('unknown') > 0);
    for (let round = 0; !hasShownAll(round); round += 1)
      for (const harm of harms) {
        await load.succeeded(scene.random.between(1, 100));
        await harm(scene);
        await proxy.heal();
        await untilItServes(proxy.url);
        await becomesHealthy(database);
      }
    await load.succeeded(50);
    await load.stop();
    await load.verify();
    return load.count('unknown');
  }

  test('a server that is killed again and again loses no commit, and repeats none', async () => {
    expect(await endure(harmsOfTheServer)).toBeGreaterThan(0);
  });

  test('a network that fails in the midst of commits tells no lie of any', async () => {
    expect(await endure(harmsOfTheNetwork)).toBeGreaterThan(0);
  });

  test('a client that is killed leaves nothing half done, no session and no lock', async () => {
    await using own = await makePostgresDatabase(server.url);
    await using database = postgresDatabase<Tables>({ url: own.url });
    await makeAccounts(database);
    const told = new Set<string>();
    for (let round = 0; round < 3 * rounds; round += 1) {
      const script = path.join(import.meta.dirname, 'client-process.ts');
      const args = [script, own.url, String(seed + 100 * round)];
      const killed = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(killed, 'exit');
      for await (const id of createInterface({ input: killed.stdout })) {
        told.add(id);
        if (told.size >= 60 * (round + 1)) killed.kill('SIGKILL');
      }
      assert.deepEqual(await ended, [null, 'SIGKILL']);
      await becomesFree(database);
    }
    const journal = await database.query
      .selectFrom('journal')
      .select(['id', (by) => by.fn.countAll<number>().as('parts')])
      .groupBy('id')
      .execute();
    for (const { id, parts } of journal) {
      // Also of those that nobody was told of, everything is there, and once.
      expect(parts, id).toBe(Number(id.split('-').at(-1)));
      told.delete(id);
    }
    expect([...told], 'all that were told are there').toEqual([]);
    await verifyBalances(database);
  });
});

/** Resolves once every place of the pool serves; throws when that takes longer than the five seconds it may. */
async function becomesHealthy(
  database: ReturnType<typeof postgresDatabase<Tables>>,
): Promise<void> {
  const signal = AbortSignal.timeout(5000);
  for (let isHealthy = false; !isHealthy;) {
    signal.throwIfAborted();
    const probes = Array.from(
      { length: poolSize },
      async () => await sql`select 1 from account`.execute(database.query, { signal }),
    );
    const settled = await Promise.allSettled(probes);
    isHealthy = settled.every(({ status }) => status === 'fulfilled');
  }
}

/** Resolves once nothing is left of a client; throws when it does not come to that. */
async function becomesFree(database: ReturnType<typeof postgresDatabase<Tables>>): Promise<void> {
  const signal = AbortSignal.timeout(30_000);
  for (let isFree = false; !isFree;) {
    signal.throwIfAborted();
    const { rows } = await sql`select 1 from pg_stat_activity where application_name = 'killed'
      and datname = current_database()`.execute(database.query, { signal });
    isFree = rows.length === 0;
  }
  // As one who waited for a lock would find out.
  await database.transaction(async () => {
    await sql`lock table account, journal in access exclusive mode nowait`.execute(database.query);
  });
}
