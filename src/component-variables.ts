import type { Cache } from './cache/index.ts';
import { type Environment, invalidArgument } from './core/index.ts';
import type { Database } from './database/index.ts';
import type { Mailer } from './mail/index.ts';
import type { PushSender } from './push/index.ts';
import type { JobQueue } from './queue/index.ts';
import type { FileStorage } from './storage/index.ts';

// The one table of the variables that choose adapters: what is read, what is said of a mistake, and what the documentation
// lists all come from it.

/** Where a component's URL points to. */
export interface Target {
  /** The path of the URL, or this name within `DATA_DIR` when the URL gives none. */
  readonly pathOr: (name: string) => string;
  /** What stands after `//`, where the scheme's form has it; empty when the URL gives none. */
  readonly name: string;
  /** The whole URL as it was given, for an adapter that reads it by itself. May hold a password. */
  readonly url: string;
  /** Its parameters, of those that the scheme's form names. */
  readonly parameters: Readonly<Record<string, string | undefined>>;
  /** For what has a variable of its own, such as secrets. */
  readonly env: Environment;
}

/** One scheme that a component's variable takes. */
export interface Scheme<Component, Needed = undefined> {
  /**
   * How its URL is written: `memory:` takes nothing after its scheme, the others a path or nothing, or `//`, a name
   * and parameters. One that names a host is read by the adapter, `USER:PASSWORD@` before the host included.
   */
  readonly form:
    | `${string}:`
    | `${string}://HOST:PORT${string}`
    | `${string}:FILE`
    | `${string}:FOLDER`
    | `${string}://${string}?${string}`;
  /** What it is, for the documentation. */
  readonly is: string;
  /** Loads the adapter, and no other, and makes the component. */
  readonly open: (target: Target, needed: Needed) => Promise<Component>;
}

/** A variable that chooses the adapter of one component. Its first scheme is the default. */
export interface ComponentVariable<Component, Needed = undefined> {
  readonly name: string;
  readonly schemes: readonly [Scheme<Component, Needed>, ...Scheme<Component, Needed>[]];
}

async function openPostgres({ url }: Target): Promise<Database> {
  const { postgresDatabase } = await import('./database/postgres/index.ts');
  return postgresDatabase({ url });
}

async function openMysql({ url }: Target): Promise<Database> {
  const { mysqlDatabase } = await import('./database/mysql/index.ts');
  return mysqlDatabase({ url });
}

export const databaseVariable: ComponentVariable<Database> = {
  name: 'DATABASE_URL',
  schemes: [
    {
      form: 'sqlite:FILE',
      is: 'a SQLite file; without one, `app.db` in `DATA_DIR`. `sqlite::memory:` is gone when the process ends',
      open: async ({ pathOr }) => {
        const { sqliteDatabase } = await import('./database/sqlite/index.ts');
        return sqliteDatabase({ file: pathOr('app.db') });
      },
    },
    {
      form: 'pglite:FOLDER',
      is: 'PostgreSQL within the process, in a folder; without one, `pglite` in `DATA_DIR`. `pglite::memory:` is gone when the process ends. Needs `npm install @electric-sql/pglite`',
      open: async ({ pathOr }) => {
        const { pgliteDatabase } = await import('./database/pglite/index.ts');
        return pgliteDatabase({ directory: pathOr('pglite') });
      },
    },
    {
      form: 'postgres://HOST:PORT/DATABASE',
      is: 'a database on a PostgreSQL server, with `USER:PASSWORD@` before the host; with `?sslmode=verify-full`, encrypted. `postgresql:` says the same. Needs `npm install pg`',
      open: openPostgres,
    },
    {
      form: 'postgresql://HOST:PORT/DATABASE',
      is: 'the same',
      open: openPostgres,
    },
    {
      form: 'mysql://HOST:PORT/DATABASE',
      is: 'a database on a MySQL or MariaDB server, with `USER:PASSWORD@` before the host; with `?ssl-mode=VERIFY_IDENTITY`, encrypted. `mariadb:` says the same. Needs `npm install mysql2`, and a queue elsewhere (`QUEUE_URL`)',
      open: openMysql,
    },
    {
      form: 'mariadb://HOST:PORT/DATABASE',
      is: 'the same',
      open: openMysql,
    },
  ],
};

export const storageVariable: ComponentVariable<FileStorage> = {
  name: 'STORAGE_URL',
  schemes: [
    {
      form: 'file:FOLDER',
      is: 'a folder; without one, `files` in `DATA_DIR`',
      open: async ({ pathOr }) => {
        const { diskStorage } = await import('./storage/disk/index.ts');
        return diskStorage({ directory: pathOr('files') });
      },
    },
    {
      form: 'memory:',
      is: 'memory, gone when the process ends',
      open: async () => (await import('./storage/memory.ts')).memoryStorage(),
    },
    {
      form: 's3://BUCKET?region=REGION&endpoint=URL',
      is: 'an S3 bucket, with the keys in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. What the URL leaves out: `AWS_BUCKET_NAME`, `AWS_REGION`, `AWS_ENDPOINT_URL` (default: AWS)',
      open: async ({ name, parameters, env }) => {
        const { s3Storage } = await import('./storage/s3/index.ts');
        const region = parameters['region'] ?? env.optional('AWS_REGION');
        const endpoint = parameters['endpoint'] ?? env.optional('AWS_ENDPOINT_URL');
        const accessKeyId = env.optional('AWS_ACCESS_KEY_ID');
        const secretAccessKey = env.optionalSecret('AWS_SECRET_ACCESS_KEY');
        const sessionToken = env.optionalSecret('AWS_SESSION_TOKEN');
        // Half a pair is a mistake; none leaves it to the SDK, which knows profiles and roles.
        const hasKeys = accessKeyId !== undefined || secretAccessKey !== undefined;
        const credentials = hasKeys && {
          accessKeyId: env.string('AWS_ACCESS_KEY_ID'),
          secretAccessKey: env.secret('AWS_SECRET_ACCESS_KEY'),
          ...(sessionToken && { sessionToken }),
        };
        return s3Storage({
          bucket: name || env.string('AWS_BUCKET_NAME') || 'unset',
          ...(region !== undefined && { region }),
          ...(endpoint !== undefined && { endpoint }),
          ...(credentials && { credentials }),
        });
      },
    },
    {
      form: 'azure://CONTAINER?endpoint=URL',
      is: 'a container of Azure Blob Storage, with `AZURE_STORAGE_CONNECTION_STRING`, or `AZURE_STORAGE_ACCOUNT` and `AZURE_STORAGE_KEY`. Needs `npm install @azure/storage-blob`',
      open: async ({ name, parameters, env }) => {
        const { azureStorage } = await import('./storage/azure/index.ts');
        const { endpoint } = parameters;
        const connectionString = env.optionalSecret('AZURE_STORAGE_CONNECTION_STRING');
        const accountName = env.optional('AZURE_STORAGE_ACCOUNT');
        const accountKey = env.optionalSecret('AZURE_STORAGE_KEY');
        const where = { container: name, ...(endpoint !== undefined && { endpoint }) };
        if (connectionString) return azureStorage({ ...where, connectionString });
        if (accountName !== undefined && accountKey)
          return azureStorage({ ...where, accountName, accountKey });
        throw invalidArgument(
          { component: 'storage', adapter: 'azure' },
          'azure: needs AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, each also with _FILE',
        );
      },
    },
  ],
};

async function openRedisCache({ url }: Target): Promise<Cache> {
  const { redisCache } = await import('./cache/redis/index.ts');
  return redisCache({ url });
}

export const cacheVariable: ComponentVariable<Cache> = {
  name: 'CACHE_URL',
  schemes: [
    {
      form: 'memory:',
      is: 'memory, gone when the process ends',
      open: async () => (await import('./cache/memory.ts')).memoryCache(),
    },
    {
      form: 'redis://HOST:PORT/DATABASE?prefix=PREFIX',
      is: 'a Redis, with `USER:PASSWORD@` before the host, shared by processes; default port 6379, database 0, prefix `cache`. Needs `npm install redis`',
      open: openRedisCache,
    },
    {
      form: 'rediss://HOST:PORT/DATABASE?prefix=PREFIX',
      is: 'the same, encrypted',
      open: openRedisCache,
    },
  ],
};

async function openRedisQueue({ url }: Target): Promise<JobQueue> {
  const { redisQueue } = await import('./queue/redis/index.ts');
  return redisQueue({ url });
}

export const queueVariable: ComponentVariable<JobQueue, Database> = {
  name: 'QUEUE_URL',
  schemes: [
    {
      form: 'database:',
      is: 'a table of the database of `DATABASE_URL`, so that jobs are part of its transactions',
      open: async (_target, database) => {
        const { sqlQueue } = await import('./queue/sql/index.ts');
        return sqlQueue({ database });
      },
    },
    {
      form: 'memory:',
      is: 'memory, gone when the process ends',
      open: async () => (await import('./queue/memory.ts')).memoryQueue(),
    },
    {
      form: 'redis://HOST:PORT/DATABASE?prefix=PREFIX',
      is: 'a Redis that keeps its data, with `USER:PASSWORD@` before the host; database 0 and the prefix `underpin` unless told. Needs `npm install redis`',
      open: openRedisQueue,
    },
    {
      form: 'rediss://HOST:PORT/DATABASE?prefix=PREFIX',
      is: 'the same, encrypted',
      open: openRedisQueue,
    },
  ],
};

async function openSmtp({ url }: Target): Promise<Mailer> {
  const { smtpMailer } = await import('./mail/smtp/index.ts');
  return smtpMailer({ url });
}

export const mailVariable: ComponentVariable<Mailer> = {
  name: 'MAIL_URL',
  schemes: [
    {
      form: 'inbox:FOLDER',
      is: 'a folder that holds what was sent, and sends nothing on; without one, `mail` in `DATA_DIR`',
      open: async ({ pathOr }) => {
        const { inboxMailer } = await import('./mail/inbox.ts');
        return inboxMailer({ directory: pathOr('mail') });
      },
    },
    {
      form: 'memory:',
      is: 'memory, gone when the process ends',
      open: async () => (await import('./mail/memory.ts')).memoryMailer(),
    },
    {
      form: 'smtp://HOST:PORT',
      is: 'an SMTP server, with `USER:PASSWORD@` before the host, encrypted from STARTTLS on; default port 587. Without a user, encrypted only where the server offers it',
      open: openSmtp,
    },
    {
      form: 'smtps://HOST:PORT',
      is: 'the same, encrypted from the first byte; default port 465',
      open: openSmtp,
    },
  ],
};

export const pushVariable: ComponentVariable<PushSender> = {
  name: 'PUSH_URL',
  schemes: [
    {
      form: 'outbox:FOLDER',
      is: 'a folder that holds what was sent, and sends nothing on; without one, `push` in `DATA_DIR`',
      open: async ({ pathOr }) => {
        const { outboxPush } = await import('./push/outbox.ts');
        return outboxPush({ directory: pathOr('push') });
      },
    },
    {
      form: 'memory:',
      is: 'memory, gone when the process ends',
      open: async () => (await import('./push/memory.ts')).memoryPush(),
    },
    {
      form: 'webpush:',
      is: 'browsers, in the name of `VAPID_SUBJECT` (a `mailto:` or `https:` URL), with the keys in `VAPID_PUBLIC_KEY` and `VAPID_PRIVATE_KEY`. Needs `npm install web-push`',
      open: async ({ env }) => {
        const subject = env.string('VAPID_SUBJECT');
        const publicKey = env.string('VAPID_PUBLIC_KEY');
        const privateKey = env.secret('VAPID_PRIVATE_KEY');
        // What is not set is told already, and nothing is started.
        if ([subject, publicKey, privateKey.reveal()].includes(''))
          return (await import('./push/memory.ts')).memoryPush();
        const { webPush } = await import('./push/web-push/index.ts');
        return webPush({ vapid: { subject, publicKey, privateKey } });
      },
    },
  ],
};

/** The variables of the table, in the order in which their components start. */
export const componentVariables: readonly {
  readonly name: string;
  readonly schemes: readonly Pick<Scheme<unknown>, 'form' | 'is'>[];
}[] = [databaseVariable, storageVariable, cacheVariable, queueVariable, mailVariable, pushVariable];
