// What is made of what Redis answers, and of what it does not: https://redis.io/docs/latest/develop/reference/protocol-spec/
import { execFileSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';

import { failureOf } from '../../../test/support/failure.ts';
import { freePort } from '../../../test/services/processes.ts';
import { type Proxy, startProxy } from '../../../test/services/proxy.ts';
import { type PrivateServer, sharedServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { InfrastructureError, noPolicy } from '../../core/index.ts';
import { defineJob } from '../job.ts';
import type { JobQueue } from '../queue.ts';
import { redisQueue } from './index.ts';

const { missing } = await service('redis');

const canary = 'canary-payload';
const job = defineJob({
  name: 'note',
  payload: z.string(),
  attempts: 100,
  backoff: { initialDelay: 1 },
});

async function adminOf(url: string) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

type Client = Awaited<ReturnType<typeof adminOf>>;

interface Scene {
  readonly server: PrivateServer;
  readonly proxy: Proxy;
  readonly admin: Client;
  readonly queue: JobQueue;
}

/** What is done to the server or the way to it, the call that then fails, and how. */
interface Outage {
  readonly what: string;
  readonly harm: (scene: Scene) => Promise<unknown> | void;
  readonly call?: (queue: JobQueue) => Promise<unknown>;
  readonly error: Pick<InfrastructureError, 'code' | 'outcome' | 'retryable'>;
}

const enqueue = async (queue: JobQueue): Promise<unknown> => await queue.enqueue(job, canary);

function configure(settings: Readonly<Record<string, string>>): Outage['harm'] {
  return async ({ admin }) => await admin.configSet(settings);
}

const refused = { code: 'unavailable', outcome: 'not-applied', retryable: true } as const;
const inDoubt = { code: 'unavailable', outcome: 'unknown', retryable: true } as const;

const outages: readonly Outage[] = [
  {
    what: 'a Redis that is full',
    harm: configure({ maxmemory: '1' }),
    error: { code: 'resource-exhausted', outcome: 'not-applied', retryable: true },
  },
  {
    what: 'a Redis that has too few replicas to write',
    harm: configure({ 'min-replicas-to-write': '1' }),
    error: refused,
  },
  {
    what: 'a Redis that became a replica',
    harm: async ({ admin }) => await admin.sendCommand(['REPLICAOF', '127.0.0.1', '1']),
    error: refused,
  },
  {
    what: 'a Redis that is busy with a script',
    harm: async ({ admin }) => {
      await admin.configSet({ 'busy-reply-threshold': '1' });
      const runaway = admin.duplicate();
      runaway.on('error', () => undefined);
      await runaway.connect();
      void runaway
        .eval('while true do end')
        .catch(() => undefined)
        .finally(() => {
          runaway.destroy();
        });
      await until(
        async () =>
          await admin.ping().then(
            () => false,
            (error: unknown) => String(error).includes('BUSY'),
          ),
      );
    },
    error: refused,
  },
  {
    what: 'rights that were taken away',
    harm: async ({ admin }) => await admin.sendCommand(['ACL', 'SETUSER', 'default', '-evalsha']),
    error: { code: 'permission-denied', outcome: 'not-applied', retryable: false },
  },
  {
    what: 'keys that are something else',
    harm: async ({ admin }) => {
      await admin.del('underpin:queues');
      await admin.set('underpin:queues', 'x');
    },
    call: async (queue) => await queue.counts(),
    error: { code: 'failed-precondition', outcome: 'unknown', retryable: false },
  },
  {
    what: 'a Redis that is dead',
    harm: async ({ proxy }) => await proxy.refuse(),
    call: async (queue) => {
      // Over the connection that was cut.
      await queue.counts().catch(() => undefined);
      return await enqueue(queue);
    },
    error: refused,
  },
  {
    what: 'a Redis that hangs, until the deadline',
    harm: async ({ server }) => await server.pause(),
    call: async (queue) => await queue.enqueue(job, canary, { signal: AbortSignal.timeout(300) }),
    error: { code: 'deadline-exceeded', outcome: 'unknown', retryable: true },
  },
  {
    what: 'a caller who does not wait for the answer',
    harm: async ({ server }) => await server.pause(),
    call: async (queue) => {
      const controller = new AbortController();
      const call = queue.enqueue(job, canary, { signal: controller.signal });
      setTimeout(() => {
        controller.abort();
      }, 50);
      return await call;
    },
    error: { code: 'cancelled', outcome: 'unknown', retryable: false },
  },
  {
    what: 'a connection that is cut in the middle of the request',
    harm: ({ proxy }) => proxy.cutAfter(20_000, 'request'),
    call: async (queue) => await queue.enqueue(job, canary + 'x'.repeat(100_000)),
    error: inDoubt,
  },
  {
    what: 'a job that is added, and whose answer is lost',
    harm: ({ proxy }) => proxy.cutAfter(0, 'answer'),
    error: inDoubt,
  },
];

/** What is wrong with the URL, and how the start fails. */
const mistakes: readonly (readonly [string, (url: URL) => void, Outage['error']])[] = [
  [
    'a wrong password',
    (url: URL) => void (url.password = 'canary-wrong'),
    { code: 'unauthenticated', outcome: 'not-applied', retryable: false },
  ],
  [
    'an unknown user',
    (url: URL) => void (url.username = 'nobody'),
    { code: 'unauthenticated', outcome: 'not-applied', retryable: false },
  ],
  [
    'no password',
    (url: URL) => void (url.password = ''),
    { code: 'unauthenticated', outcome: 'not-applied', retryable: false },
  ],
  [
    'a database that there is not',
    (url: URL) => void (url.pathname = '/99'),
    { code: 'failed-precondition', outcome: 'not-applied', retryable: false },
  ],
  ['a port where nobody listens', (url: URL) => void (url.port = '1'), refused],
  ['a host that there is not', (url: URL) => void (url.hostname = 'redis.invalid'), refused],
  [
    'TLS with a server that has none',
    (url: URL) => void (url.href = url.href.replace('redis:', 'rediss:')),
    refused,
  ],
];

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5);
}

describe.skipIf(missing)('queue redis › a wrong URL', () => {
  let shared: string;

  beforeAll(async () => {
    shared = (await sharedServer('redis')).url;
  });

  test.each(mistakes)(
    '%s is told at the start, without the password',
    async (_what, change, expected) => {
      const url = new URL(shared);
      change(url);
      await using other = redisQueue({ url: url.href, policy: noPolicy });
      const error = await failureOf(other.start());
      expect(error).toMatchObject(expected);
      const shown = `${inspect([error, other], { depth: 12 })}${JSON.stringify(error)}`;
      expect(shown).not.toContain(new URL(shared).password);
      expect(shown).not.toContain('canary');
    },
  );
});

describe.skipIf(missing)('queue redis › outages', () => {
  let server: PrivateServer;
  let proxy: Proxy;
  let admin: Client;
  let queue: JobQueue;

  beforeAll(async () => {
    server = await startServer('redis');
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    proxy = await startProxy(server.url);
    admin = await adminOf(server.url);
    await admin.flushAll();
    // Nothing is tried again: the table is of what a single attempt gives.
    queue = redisQueue({ url: proxy.url, policy: noPolicy });
    await queue.start();
  });
  afterEach(async () => {
    await queue.close();
    admin.destroy();
    await proxy[Symbol.asyncDispose]();
    await server.resume();
    await server.restart();
  });

  test.each(outages.map((outage) => [outage.what, outage] as const))(
    '%s is told as it is, without what is secret, and the same queue goes on afterwards',
    async (_what, { harm, call = enqueue, error: expected }) => {
      await queue.enqueue(job, 'before');
      const events: unknown[] = [];
      const onEvent = (event: unknown): void => void events.push(event);
      const channels = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].flatMap((phase) =>
        ['enqueue', 'counts'].map((name) => `tracing:underpin:queue:${name}:${phase}`),
      );
      for (const channel of channels) subscribe(channel, onEvent);

      await harm({ server, proxy, admin, queue });
      const error = await failureOf(call(queue));
      for (const channel of channels) unsubscribe(channel, onEvent);

      expect(error).toMatchObject(expected);
      expect(events.length).toBeGreaterThan(0);
      const shown = `${inspect([error, queue, queue.native], { depth: 12 })}${JSON.stringify(error)}${inspect(events, { depth: 12 })}`;
      expect(shown).not.toContain(new URL(server.url).password);
      expect(shown).not.toContain(canary);

      await server.resume();
      await server.restart();
      await proxy.heal();
      const fresh = await adminOf(server.url);
      await fresh.flushAll();
      fresh.destroy();
      await until(
        async () =>
          await queue.enqueue(job, 'after').then(
            () => true,
            () => false,
          ),
      );
      expect((await queue.counts()).waiting).toBeGreaterThan(0);
    },
  );

  test('a full Redis still lets jobs be claimed, settled and removed', async () => {
    await queue.enqueueMany(job, ['a', 'b', 'c']);
    await admin.configSet({ maxmemory: '1' });
    await using worker = queue.worker([job.handle(() => undefined)]);
    await worker.start();
    await until(async () => (await queue.counts()).waiting === 0);
    await until(async () => (await queue.counts()).active === 0);
    expect(await queue.counts()).toEqual({ waiting: 0, active: 0, completed: 0, dead: 0 });
  });

  test('rediss: is encrypted, and refuses a certificate that nobody vouches for', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'underpin-redis-tls-'));
    const certificate = path.join(folder, 'certificate.pem');
    const key = path.join(folder, 'key.pem');
    const flags = {
      '-newkey': 'ec',
      '-pkeyopt': 'ec_paramgen_curve:prime256v1',
      '-subj': '/CN=localhost',
      '-addext': 'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-keyout': key,
      '-out': certificate,
    };
    execFileSync('openssl', ['req', '-x509', '-nodes', ...Object.entries(flags).flat()], {
      stdio: 'ignore',
    });
    const port = await freePort();
    await admin.configSet({
      'tls-cert-file': certificate,
      'tls-key-file': key,
      'tls-auth-clients': 'no',
    });
    await admin.configSet({ 'tls-port': String(port) });
    const url = new URL(server.url.replace('redis:', 'rediss:'));
    url.port = String(port);

    const ca = await readFile(certificate);
    await using trusting = redisQueue({ url: url.href, tls: { ca } });
    expect((await trusting.enqueue(job, 'a')).isDuplicate).toBe(false);
    await using strange = redisQueue({ url: url.href, policy: noPolicy });
    const error = await failureOf(strange.start());
    expect(error).toMatchObject({ code: 'failed-precondition', outcome: 'not-applied' });
    expect(error.message).toContain('certificate');
    await rm(folder, { recursive: true });
  });

  test('too many clients are told at the start', async () => {
    await admin.configSet({ maxclients: '1' });
    await using other = redisQueue({ url: server.url, policy: noPolicy });
    expect(await failureOf(other.start())).toMatchObject({
      code: 'resource-exhausted',
      outcome: 'not-applied',
      retryable: true,
    });
  });

  test('a Redis that would evict jobs is refused at the start, one that evicts only what expires is not', async () => {
    await admin.configSet({ 'maxmemory-policy': 'allkeys-lru' });
    await using other = redisQueue({ url: server.url });
    const error = await failureOf(other.start());
    expect(error.code).toBe('failed-precondition');
    expect(error.message).toContain('noeviction');
    await admin.configSet({ 'maxmemory-policy': 'volatile-lru' });
    await other.start();
  });

  test('a user with just the documented rights can do all, and one who may not ask for the policy or publish can too', async () => {
    const rights = ['+evalsha', '+eval', '+ping', '+@read', '+@write'];
    await admin.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>pw', '~underpin:*', ...rights]);
    const url = new URL(server.url);
    url.username = 'app';
    url.password = 'pw';
    await using other = redisQueue({ url: url.href });
    await other.enqueueMany(job, ['a', 'b'], { deduplicationKey: (text) => text });
    await using worker = other.worker([job.handle(() => undefined)]);
    await worker.start();
    await until(async () => (await other.counts()).waiting + (await other.counts()).active === 0);
    expect((await other.checkHealth()).status).toBe('ok');
  });

  test('a Redis that hangs while a connection is made is unavailable after a while, and is found again', async () => {
    await server.pause();
    await using other = redisQueue({ url: server.url, policy: noPolicy });
    expect(await failureOf(other.start())).toMatchObject(refused);
    await server.resume();
    await other.start();
  });

  test('a close ends a start that waits for a Redis that hangs', async () => {
    await server.pause();
    const other = redisQueue({ url: server.url, policy: noPolicy });
    const starting = failureOf(other.start());
    await other.close();
    expect((await starting).code).toBe('cancelled');
  });

  test('a client that was given is used, told when it is not connected, and left open', async () => {
    const other = redisQueue({ client: admin });
    let runs = 0;
    const worker = other.worker([job.handle(() => void (runs += 1))], { pollInterval: '1h' });
    await worker.start();
    await queue.enqueue(job, 'a');
    await until(() => runs === 1);
    await worker.close();
    await other.close();
    expect(await admin.ping()).toBe('PONG');
    await using unconnected = redisQueue({ client: admin.duplicate(), policy: noPolicy });
    expect(await failureOf(unconnected.start())).toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
    });
  });

  test('a connection that died in silence is replaced, and the same queue goes on', async () => {
    const guarded = redisQueue({ url: proxy.url });
    await guarded.enqueue(job, 'a');
    proxy.stall();
    await expect(guarded.counts({ signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
      code: 'deadline-exceeded',
    });
    const stale = guarded.native;
    await until(() => stale?.isOpen === false);
    await proxy.heal();
    expect((await guarded.counts()).waiting).toBe(1);
    await guarded.close();
  });

  test('a worker hears at once of jobs of other processes, also after the server came back', async () => {
    await using consumer = redisQueue({ url: server.url });
    await using producer = redisQueue({ url: server.url });
    let runs = 0;
    // It is not the polling that finds them.
    await using worker = consumer.worker([job.handle(() => void (runs += 1))], {
      pollInterval: '1h',
    });
    await worker.start();
    await producer.enqueue(job, 'a');
    await until(() => runs === 1);
    await server.kill();
    await server.restart();
    await producer.enqueue(job, 'b');
    await until(() => runs === 2);
    expect(await producer.counts()).toMatchObject({ waiting: 0, dead: 0 });
  });

  test.each([
    [
      'killed and started again',
      async () => {
        await server.kill();
        await server.restart();
      },
    ],
    [
      'cut off',
      async () => {
        proxy.cut();
      },
    ],
  ])('%s under load, no accepted job is lost and the worker goes on by itself', async (_, harm) => {
    await admin.configSet({ appendfsync: 'always' });
    await using producer = redisQueue({ url: proxy.url });
    await using consumer = redisQueue({ url: proxy.url });
    const done = new Set<string>();
    await using worker = consumer.worker([job.handle(async (_text, { id }) => void done.add(id))], {
      lease: '300ms',
      pollInterval: '20ms',
    });
    await worker.start();
    const accepted: string[] = [];
    const load = async (): Promise<void> => {
      for (let number = 0; number < 200; number += 1) {
        try {
          accepted.push((await producer.enqueue(job, `job ${number}`)).id);
        } catch (error) {
          if (!InfrastructureError.is(error, 'unavailable')) throw error;
        }
      }
    };
    const loading = load();
    for (const count of [20, 60, 100]) {
      await until(() => accepted.length >= count);
      await harm();
    }
    await loading;
    await until(() => accepted.every((id) => done.has(id)));
    await until(async () => {
      const { waiting, active } = await producer.counts();
      return waiting + active === 0;
    });
    await until(async () => (await worker.checkHealth()).status === 'ok');
    expect((await producer.counts()).dead).toBe(0);
  });

  test('paused under load, nothing is lost and no job is settled by two', async () => {
    await using consumer = redisQueue({ url: server.url });
    const completed: string[] = [];
    await using worker = consumer.worker([job.handle(async (text) => void completed.push(text))], {
      lease: '500ms',
      pollInterval: '20ms',
    });
    const texts = Array.from({ length: 200 }, (_, number) => `job ${number}`);
    await queue.enqueueMany(job, texts);
    await worker.start();
    await until(() => completed.length > 20);
    await server.pause();
    await sleep(700);
    await server.resume();
    await until(async () => {
      const { waiting, active } = await queue.counts();
      return waiting + active === 0;
    });
    expect(new Set(completed)).toEqual(new Set(texts));
    expect((await queue.counts()).dead).toBe(0);
  });
});
