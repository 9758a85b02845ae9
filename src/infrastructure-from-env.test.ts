import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';

import webPush from 'web-push';
import { z } from 'zod';

import { makeContainer } from '../test/services/containers.ts';
import { makeKeyspace } from '../test/services/keyspaces.ts';
import { sharedServer } from '../test/services/servers.ts';
import { service } from '../test/services/services.ts';
import { componentVariables } from './component-variables.ts';
import type { Managed } from './core/index.ts';
import type { Database } from './database/index.ts';
import { infrastructureFromEnv, type StandardComponents } from './index.ts';
import { defineJob } from './queue/index.ts';
import { redisQueue } from './queue/redis/index.ts';
import type { FileStorage } from './storage/index.ts';

const azurite = await service('azurite');
const redis = await service('redis');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'underpin-from-env-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Env = Record<string, string>;

function silent(env: Env = {}): Env {
  return { LOG_LEVEL: 'silent', DATA_DIR: path.join(folder, 'data'), ...env };
}

const resize = defineJob({ name: 'resize', payload: z.object({ key: z.string() }) });

/** Does with each component what it is for. */
async function use({ files, cache, queue, mail, push }: StandardComponents): Promise<void> {
  await files.put('a/hello.txt', 'hello');
  expect(await (await files.get('a/hello.txt')).text()).toBe('hello');
  await cache.set('key', 'value');
  expect(await cache.get('key')).toBe('value');
  expect((await queue.enqueue(resize, { key: 'a' })).id).toBeTypeOf('string');
  await mail.send({ from: 'a@example.com', to: 'b@example.com', subject: 's', text: 't' });
  expect(await push.send([{ kind: 'fcm', token: 'token' }], { title: 'title' })).toMatchObject([
    { status: 'delivered' },
  ]);
}

async function mistakes(env: Env): Promise<string> {
  const error: unknown = await infrastructureFromEnv()
    .start({ env })
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'invalid-argument', component: 'core' });
  return (error as Error).message;
}

describe('an empty environment', () => {
  it('gives every component, working, with its data in DATA_DIR', async () => {
    const app = await infrastructureFromEnv().start({ env: silent() });
    await use(app);
    expect((await app.health.check()).status).toBe('ok');
    await app.stop();
    expect(
      readdirSync(path.join(folder, 'data')).filter((name) => !/-(wal|shm)$/.test(name)),
    ).toEqual(expect.arrayContaining(['app.db', 'files', 'mail', 'push']));

    const again = await infrastructureFromEnv().start({ env: silent() });
    expect(await (await again.files.get('a/hello.txt')).text()).toBe('hello');
    await again.stop();
  });

  it('starts the components in the order of the table, the logger before all', async () => {
    const app = await infrastructureFromEnv().start({ env: silent() });
    expect(Object.keys((await app.health.check()).components)).toEqual([
      'log',
      'database',
      'files',
      'cache',
      'queue',
      'mail',
      'push',
    ]);
    await app.stop();
  });
});

const vapidKeys = webPush.generateVAPIDKeys();
const vapidEnvironment: Env = {
  VAPID_SUBJECT: 'mailto:ops@gazette.example',
  VAPID_PUBLIC_KEY: vapidKeys.publicKey,
  VAPID_PRIVATE_KEY: vapidKeys.privateKey,
};

describe('each scheme', () => {
  // Those that lead to a server are tested beside their adapters.
  const all = componentVariables.flatMap(({ name, schemes }) =>
    schemes
      .filter(({ form }) => !form.includes('://') && form !== 'webpush:')
      .map(({ form }) => [name, form] as const),
  );

  it.each(all)(
    '%s %s opens, with nothing after it, and with a path where it takes one',
    async (name, form) => {
      const [scheme = ''] = form.split(':');
      const bare = await infrastructureFromEnv().start({ env: silent({ [name]: `${scheme}:` }) });
      await use(bare);
      await bare.stop();
      if (form.endsWith(':')) return;
      for (const [index, written] of [
        `${scheme}:${folder}/own 0`,
        `${scheme}://${folder}/own%201`,
      ].entries()) {
        const app = await infrastructureFromEnv().start({ env: silent({ [name]: written }) });
        await use(app);
        await app.stop();
        expect(existsSync(path.join(folder, `own ${index}`))).toBe(true);
      }
    },
  );

  it('webpush: reaches browsers, in the name that its variables give', async () => {
    const env = silent({ ...vapidEnvironment, PUSH_URL: 'webpush:' });
    const app = await infrastructureFromEnv().start({ env });
    expect([app.push.adapter, app.push.capabilities.fcm]).toEqual(['web-push', false]);
    await app.stop();
  });

  it.skipIf(redis.missing)('redis: keeps the jobs there', async () => {
    const { url, prefix, remove } = await makeKeyspace();
    const app = await infrastructureFromEnv().start({ env: silent({ QUEUE_URL: url }) });
    await use(app);
    await app.stop();
    await using queue = redisQueue({ url, prefix });
    expect((await queue.counts({ name: 'resize' })).waiting).toBe(1);
    await remove();
  });

  it('of memory leaves nothing on the disk', async () => {
    const app = await infrastructureFromEnv().start({
      env: silent({
        DATABASE_URL: 'sqlite::memory:',
        ...Object.fromEntries(
          componentVariables
            .filter(({ schemes }) => schemes.some(({ form }) => form === 'memory:'))
            .map(({ name }) => [name, 'memory:']),
        ),
      }),
    });
    await use(app);
    await app.stop();
    expect(existsSync(path.join(folder, 'data'))).toBe(false);
  });

  it('a relative path is relative to where the process runs, also with file:', async () => {
    const relative = path.relative(process.cwd(), path.join(folder, 'relative'));
    const app = await infrastructureFromEnv().start({
      env: silent({ STORAGE_URL: `file:${relative}` }),
    });
    await app.files.put('a', 'a');
    await app.stop();
    expect(existsSync(path.join(folder, 'relative'))).toBe(true);
  });

  it('NAME_FILE holds the value', async () => {
    const secret = path.join(folder, 'secret');
    writeFileSync(secret, 'memory:\n');
    const app = await infrastructureFromEnv().start({ env: silent({ STORAGE_URL_FILE: secret }) });
    expect(app.files.adapter).toBe('memory');
    await app.stop();
  });
});

it('the queue of an empty environment takes part in the transactions of its database', async () => {
  const app = await infrastructureFromEnv().start({ env: silent() });
  const failing = app.database.transaction(async () => {
    await app.queue.enqueue(resize, { key: 'undone' }, { deduplicationKey: 'one' });
    throw new Error('roll back');
  });
  await expect(failing).rejects.toThrow('roll back');
  const committed = await app.database.transaction(
    async () => await app.queue.enqueue(resize, { key: 'kept' }, { deduplicationKey: 'one' }),
  );
  expect(
    await app.queue.enqueue(resize, { key: 'again' }, { deduplicationKey: 'one' }),
  ).toMatchObject({ id: committed.id });
  await app.stop();
});

describe('mistakes', () => {
  it('are reported all at once, each with what is known, and nothing was made', async () => {
    const message = await mistakes({
      DATA_DIR: path.join(folder, 'data'),
      LOG_LEVEL: 'loud',
      DATABASE_URL: 'mongodb://app:hunter2@h/x',
      STORAGE_URL: 'hunter2',
      MAIL_URL: 'memory:hunter2',
    });
    expect(message).toBe(
      [
        'the environment has 4 mistakes:',
        '  - LOG_LEVEL: "loud" is not known: give one of trace, debug, info, warn, error, fatal, silent',
        '  - DATABASE_URL: the scheme mongodb: is not known here: give sqlite:FILE or pglite:FOLDER or postgres://HOST:PORT/DATABASE or postgresql://HOST:PORT/DATABASE or mysql://HOST:PORT/DATABASE or mariadb://HOST:PORT/DATABASE',
        '  - STORAGE_URL: its value is not a URL: give file:FOLDER or memory: or s3://BUCKET?region=REGION&endpoint=URL or azure://CONTAINER?endpoint=URL',
        '  - MAIL_URL: nothing may follow memory:',
      ].join('\n'),
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    [
      'a machine’s name',
      'sqlite://host/app.db',
      /DATABASE_URL: what follows \/\/ is the name of a machine: write sqlite:folder/,
    ],
    ['parameters', 'sqlite:app.db?mode=ro', /DATABASE_URL: sqlite:FILE takes no parameters/],
    ['a stray percent sign', 'sqlite:50%.db', /DATABASE_URL: its path is not written as a URL's/],
    ['what the adapter itself refuses', 'sqlite:a%00b', /DATABASE_URL: file is not a path/],
  ])('%s in a URL is told', async (_what, url, message) => {
    expect(await mistakes(silent({ DATABASE_URL: url }))).toMatch(message);
  });

  it.each<[string, string, Env, RegExp]>([
    ['a bucket without a name', 's3:', {}, /^.* AWS_BUCKET_NAME: it is not set/],
    [
      'a path after the bucket',
      's3://bucket/folder',
      {},
      /STORAGE_URL: write it as s3:\/\/BUCKET\?/,
    ],
    ['keys in the URL', 's3://key:hunter2@bucket', {}, /STORAGE_URL: write it as s3:/],
    [
      'a parameter that is not known',
      's3://bucket?acl=x',
      {},
      /its parameters are region and endpoint/,
    ],
    ['a parameter twice', 's3://bucket?region=a&region=b', {}, /each at most once/],
    [
      'an endpoint that is no URL',
      's3://bucket?endpoint=x',
      {},
      /STORAGE_URL: endpoint is not a URL/,
    ],
    [
      'half a pair of keys',
      's3://bucket',
      { AWS_ACCESS_KEY_ID: 'x' },
      /AWS_SECRET_ACCESS_KEY: it is/,
    ],
  ])('%s in an S3 URL is told', async (_what, url, env, message) => {
    const told = await mistakes(silent({ STORAGE_URL: url, ...env }));
    expect(told).toMatch(message);
    expect(told).not.toContain('hunter2');
  });

  const azureKeys = { AZURE_STORAGE_ACCOUNT: 'shop', AZURE_STORAGE_KEY: 'aHVudGVyMg==' };

  it.skipIf(azurite.missing)('an Azure URL opens its container, by either way in', async () => {
    const made = await makeContainer((await sharedServer('azurite')).url);
    const { container, connectionString } = made.options;
    const [, account = '', key = '', endpoint = ''] =
      /AccountName=(.*?);AccountKey=(.*?);BlobEndpoint=(.*?);/.exec(connectionString) ?? [];
    const ways: readonly Env[] = [
      { STORAGE_URL: `azure://${container}`, AZURE_STORAGE_CONNECTION_STRING: connectionString },
      {
        STORAGE_URL: `azure://${container}?endpoint=${encodeURIComponent(endpoint)}`,
        AZURE_STORAGE_ACCOUNT: account,
        AZURE_STORAGE_KEY: key,
      },
    ];
    for (const way of ways) {
      const app = await infrastructureFromEnv().start({ env: silent(way) });
      await use(app);
      expect(app.files.adapter).toBe('azure');
      await app.stop();
    }
    await made.remove();
  });

  it.each<[string, string, Env, RegExp]>([
    ['nothing to be known by', 'azure://pictures', {}, /STORAGE_URL: azure: needs AZURE_STORAGE_/],
    [
      'half a pair of keys',
      'azure://pictures',
      { AZURE_STORAGE_ACCOUNT: 'shop' },
      /STORAGE_URL: azure: needs AZURE_STORAGE_/,
    ],
    ['no container', 'azure:', azureKeys, /STORAGE_URL: container "" is not/],
    [
      'a connection string that is none',
      'azure://pictures',
      { AZURE_STORAGE_CONNECTION_STRING: 'AccountKey=hunter2' },
      /STORAGE_URL: connectionString is none of Azure/,
    ],
    [
      'a key that is none',
      'azure://pictures',
      { ...azureKeys, AZURE_STORAGE_KEY: 'hunter2!' },
      /STORAGE_URL: accountKey is not Base64/,
    ],
    [
      'an endpoint that is no URL',
      'azure://pictures?endpoint=x',
      azureKeys,
      /STORAGE_URL: endpoint is not a URL/,
    ],
  ])('%s in an Azure URL is told', async (_what, url, env, message) => {
    const told = await mistakes(silent({ STORAGE_URL: url, ...env }));
    expect(told).toMatch(message);
    expect(told).not.toContain('hunter2');
  });

  it.each([
    ['a Redis URL without a host', 'redis:'],
    ['a database that is no number', 'redis://u:hunter2@h/cache'],
    ['a parameter that is not known', 'rediss://u:hunter2@h?tls=no'],
    ['a prefix with braces', 'redis://u:hunter2@h?prefix={a}'],
  ])('%s is told', async (_what, url) => {
    const told = await mistakes(silent({ CACHE_URL: url }));
    expect(told).toMatch(/CACHE_URL: (url is not redis:|prefix has)/);
    expect(told).not.toContain('hunter2');
  });

  it.each<[string, Env, RegExp]>([
    [
      'a user without a password',
      { MAIL_URL: 'smtp://hunter2@mail.example' },
      /MAIL_URL: url has a/,
    ],
    ['no host', { MAIL_URL: 'smtp:hunter2' }, /MAIL_URL: url has no host/],
    [
      'a path after the port',
      { MAIL_URL: 'smtps://user:hunter2@mail.example/inbox' },
      /MAIL_URL: nothing may follow the port/,
    ],
    [
      'a password that is not encoded',
      { MAIL_URL: 'smtp://user:hunter2%@mail.example' },
      /MAIL_URL: .* write % as %25/,
    ],
    ['web push without keys', { PUSH_URL: 'webpush:' }, /3 mistakes:\n.*VAPID_SUBJECT: .* not set/],
    [
      'VAPID keys that are none',
      { ...vapidEnvironment, PUSH_URL: 'webpush:', VAPID_PRIVATE_KEY: 'hunter2' },
      /PUSH_URL: vapid.privateKey is not/,
    ],
  ])('%s is told', async (_what, env, message) => {
    const told = await mistakes(silent(env));
    expect(told).toMatch(message);
    expect(told).not.toContain('hunter2');
  });

  it.each([
    ['no host', 'redis://:hunter2@', /QUEUE_URL: url is not redis:.*HOST:PORT/],
    ['a database that is no number', 'redis://:hunter2@host/shop', /QUEUE_URL: url is not redis:/],
    ['a parameter that is not known', 'redis://:hunter2@host?db=2', /QUEUE_URL: url is not redis:/],
    ['a prefix with a colon', 'redis://:hunter2@host?prefix=a:b', /QUEUE_URL: prefix is empty or/],
    ['a password that is not encoded', 'rediss://:hunter2%@host', /QUEUE_URL: .* write % as %25/],
  ])('%s in a Redis URL is told', async (_what, url, message) => {
    const told = await mistakes(silent({ QUEUE_URL: url }));
    expect(told).toMatch(message);
    expect(told).not.toContain('hunter2');
  });

  it('those of the application’s own variables are in the same report', async () => {
    const starting = infrastructureFromEnv((_standard, { env }) => ({
      port: env.integer('PORT', { min: 1 }),
    })).start({
      env: silent({ PORT: 'x', STORAGE_URL: 'ftp:' }),
    });
    await expect(starting).rejects.toThrow(/has 2 mistakes:\n {2}- STORAGE_URL: .*\n {2}- PORT: /);
  });
});

describe.skipIf(redis.missing)('CACHE_URL with redis:', () => {
  it('is a cache that two processes share', async () => {
    const { url } = await sharedServer('redis');
    const env = silent({ CACHE_URL: `${url}?prefix=${randomUUID()}` });
    await using one = await infrastructureFromEnv().start({ env });
    await using two = await infrastructureFromEnv().start({ env });
    expect(one.cache.adapter).toBe('redis');
    await one.cache.set('key', 'value');
    expect(await two.cache.get('key')).toBe('value');
  });
});

describe('extend', () => {
  it('adds components, which start after the standard ones and may use them', async () => {
    const log: string[] = [];
    const app = await infrastructureFromEnv(({ files }) => {
      const own: Managed = {
        component: 'own',
        adapter: 'test',
        start: async () => void log.push(await files.put('a', 'started').then(({ key }) => key)),
        drain: async () => await Promise.resolve(),
        checkHealth: async () => await Promise.resolve({ status: 'ok' }),
        close: async () => void log.push(await (await files.get('a')).text()),
      };
      return { own, answer: 42 };
    }).start({ env: silent() });
    expect(app.answer).toBe(42);
    await app.stop();
    expect(log).toEqual(['a', 'started']);
  });
});

describe('Directus', () => {
  it('is there with a URL and a token, or a login, also from files', async () => {
    const password = path.join(folder, 'password');
    writeFileSync(password, 'hunter2\n');
    for (const env of [
      { DIRECTUS_TOKEN: 'token' },
      { DIRECTUS_EMAIL: 'a@example.com', DIRECTUS_PASSWORD: 'hunter2' },
      { DIRECTUS_EMAIL: 'a@example.com', DIRECTUS_PASSWORD_FILE: password },
    ]) {
      const { directus } = await componentsOf({ DIRECTUS_URL: 'https://cms.example.com', ...env });
      expect(directus?.url.href).toBe('https://cms.example.com/');
    }
  });

  it('is absent when nothing is set', async () => {
    expect((await componentsOf({})).directus).toBeUndefined();
  });

  it.each<[string, Env, RegExp]>([
    [
      'a URL without credentials',
      { DIRECTUS_URL: 'https://cms' },
      /DIRECTUS_URL: it is set without credentials: set DIRECTUS_TOKEN, or/,
    ],
    [
      'half a login',
      { DIRECTUS_URL: 'https://cms', DIRECTUS_EMAIL: 'a@b.c' },
      /DIRECTUS_URL: it is set without credentials/,
    ],
    ['credentials without a URL', { DIRECTUS_TOKEN: 'hunter2' }, /DIRECTUS_URL: it is not set/],
    ['what is no URL', { DIRECTUS_URL: 'cms', DIRECTUS_TOKEN: 'hunter2' }, /DIRECTUS_URL: .*URL/i],
  ])('%s is a mistake', async (_what, env, message) => {
    const told = await mistakes(silent(env));
    expect(told).toMatch(message);
    expect(told).not.toContain('hunter2');
  });

  it('without its peer is a mistake that names the line to run', () => {
    const script = `
      import { registerHooks } from 'node:module';
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier !== '@directus/sdk') return next(specifier, context);
          const message = "Cannot find package '@directus/sdk' imported from here";
          throw Object.assign(new Error(message), { code: 'ERR_MODULE_NOT_FOUND' });
        },
      });
      const { infrastructureFromEnv } = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
      await infrastructureFromEnv().start().catch((error) => console.log(error.message));`;
    const output = execFileSync(
      process.execPath,
      ['--conditions=underpin-source', '--input-type=module', '-e', script],
      {
        encoding: 'utf8',
        cwd: folder,
        env: {
          DIRECTUS_URL: 'https://cms',
          DIRECTUS_TOKEN: 't',
          LOG_LEVEL: 'silent',
          PUSH_URL: 'x',
        },
      },
    );
    expect(output).toBe(
      [
        'the environment has 2 mistakes:',
        '  - PUSH_URL: its value is not a URL: give outbox:FOLDER or memory: or webpush:',
        '  - DIRECTUS_URL: underpin/directus needs the optional peer "@directus/sdk", which is not installed. Run: npm install @directus/sdk',
        '',
      ].join('\n'),
    );
  });

  // Nothing is started: no Directus answers here.
  async function componentsOf(env: Env): Promise<StandardComponents> {
    let components: StandardComponents | undefined;
    const stopped = new Error('seen enough');
    const starting = infrastructureFromEnv((standard) => {
      components = standard;
      throw stopped;
    }).start({ env: silent(env) });
    await expect(starting).rejects.toBe(stopped);
    return components as StandardComponents;
  }
});

it('the types of tables and of the extension come from the parameter of extend', () => {
  const infrastructure = infrastructureFromEnv(
    (standard: StandardComponents<{ article: { id: string } }>) => ({
      articles: standard.database.query.selectFrom('article'),
      answer: 42,
    }),
  );
  type Running = Awaited<ReturnType<typeof infrastructure.start>>;
  expectTypeOf<Running['answer']>().toEqualTypeOf<number>();
  expectTypeOf<Running['database']>().toEqualTypeOf<Database<{ article: { id: string } }>>();
  expectTypeOf<Running['files']>().toEqualTypeOf<FileStorage>();
  expect(infrastructure.start).toBeTypeOf('function');
});

it('only the adapters that are chosen are loaded', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
    const { infrastructureFromEnv } = await import(${JSON.stringify(new URL('./index.ts', import.meta.url).href)});
    console.log(loaded.filter((url) => /pino|kysely|nodemailer/.test(url)).length);
    const app = await infrastructureFromEnv().start();
    await app.stop();
    console.log(loaded.filter((url) => /storage\\/disk|mail\\/inbox|push\\/outbox|queue\\/sql/.test(url)).length);`;
  const output = execFileSync(
    process.execPath,
    ['--conditions=underpin-source', '--input-type=module', '-e', script],
    {
      encoding: 'utf8',
      cwd: folder,
      env: {
        LOG_LEVEL: 'silent',
        STORAGE_URL: 'memory:',
        QUEUE_URL: 'memory:',
        MAIL_URL: 'memory:',
        PUSH_URL: 'memory:',
        DATABASE_URL: 'sqlite::memory:',
      },
    },
  );
  expect(output).toBe('0\n0\n');
});

it('docs/configuration.md lists every variable and scheme, and no other', () => {
  const rows = componentVariables.flatMap(({ name, schemes }) =>
    schemes.map(
      ({ form, is }, index) =>
        `| \`${name}\` | \`${form}\`${index === 0 ? ' (default)' : ''} | ${is} |`,
    ),
  );
  const text = readFileSync(new URL('../docs/configuration.md', import.meta.url), 'utf8');
  expect(
    text
      .split('\n')
      .filter((line) => /^\| `[A-Z]+_URL` \|/.test(line) && !line.startsWith('| `DIRECTUS')),
  ).toEqual(rows);
});
