import path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Cache } from './cache/index.ts';
import {
  cacheVariable,
  type ComponentVariable,
  databaseVariable,
  mailVariable,
  pushVariable,
  queueVariable,
  type Scheme,
  storageVariable,
  type Target,
} from './component-variables.ts';
import {
  defineInfrastructure,
  type Environment,
  type Infrastructure,
  InfrastructureError,
  type InfrastructureContext,
} from './core/index.ts';
import type { Database } from './database/index.ts';
import type { DirectusClient } from './directus/index.ts';
import type { Logger } from './logging/index.ts';
import type { Mailer } from './mail/index.ts';
import type { PushSender } from './push/index.ts';
import type { JobQueue } from './queue/index.ts';
import type { FileStorage } from './storage/index.ts';

/** The components that {@link infrastructureFromEnv} makes, in the order in which they start. */
export interface StandardComponents<Tables = unknown, DirectusSchema = unknown> {
  /** `LOG_LEVEL`; default `info`. */
  readonly log: Logger;
  /** `DATABASE_URL`; default `sqlite:`. */
  readonly database: Database<Tables>;
  /** `STORAGE_URL`; default `file:`. */
  readonly files: FileStorage;
  /** `CACHE_URL`; default `memory:`. */
  readonly cache: Cache;
  /** `QUEUE_URL`; default `database:`. */
  readonly queue: JobQueue;
  /** `MAIL_URL`; default `inbox:`. */
  readonly mail: Mailer;
  /** `PUSH_URL`; default `outbox:`. */
  readonly push: PushSender;
  /**
   * `DIRECTUS_URL` with `DIRECTUS_TOKEN`, or with `DIRECTUS_EMAIL` and `DIRECTUS_PASSWORD`; `undefined` when it is not set. Needs
   * the optional peer `@directus/sdk`.
   */
  readonly directus: DirectusClient<DirectusSchema> | undefined;
}

/**
 * The standard infrastructure, from one environment variable a component; docs/configuration.md lists them all. Each has an
 * embedded default that keeps its data in `DATA_DIR` (default `data`), so that an empty environment works. Only the adapters
 * that are chosen are loaded. `extend` adds the application's own components, which start after the standard ones; the type of
 * its parameter says what the database's tables and Directus' collections are: `(standard: StandardComponents<Tables>) => …`.
 *
 * Its `start` throws one `invalid-argument` error that lists every mistake in the environment, each with its fix, an adapter
 * whose peer is not installed among them.
 *
 * @example
 * await using app = await infrastructureFromEnv().start();
 * await app.files.put('hello.txt', 'hello');
 */
export function infrastructureFromEnv<
  Tables = unknown,
  Extension extends object = object,
  DirectusSchema = unknown,
>(
  extend?: (
    standard: StandardComponents<Tables, DirectusSchema>,
    context: InfrastructureContext,
  ) => Extension | Promise<Extension>,
): Infrastructure<StandardComponents<Tables, DirectusSchema> & Extension> {
  return defineInfrastructure(async (context) => {
    const standard = await standardComponents<Tables, DirectusSchema>(context.env);
    const extension = await extend?.(standard, context);
    // Without `extend` the extension is the type's default, which has nothing.
    return { ...standard, ...(extension as Extension) };
  });
}

async function standardComponents<Tables, DirectusSchema>(
  env: Environment,
): Promise<StandardComponents<Tables, DirectusSchema>> {
  const { createLogger, logLevels } = await import('./logging/index.ts');
  const directory = env.string('DATA_DIR', { default: 'data' });
  const open = async <Component>(variable: ComponentVariable<Component>): Promise<Component> =>
    await openComponent(env, directory, variable, undefined);
  const log = createLogger({ level: env.oneOf('LOG_LEVEL', logLevels, { default: 'info' }) });
  const database = await open(databaseVariable);
  return {
    log,
    // What stands in the tables is the application's word; no adapter looks at it.
    database: database as Database<Tables>,
    files: await open(storageVariable),
    cache: await open(cacheVariable),
    queue: await openComponent(env, directory, queueVariable, database),
    mail: await open(mailVariable),
    push: await open(pushVariable),
    directus: await openDirectus<DirectusSchema>(env),
  };
}

async function openDirectus<Schema>(env: Environment): Promise<DirectusClient<Schema> | undefined> {
  const url = env.optional('DIRECTUS_URL');
  const token = env.optionalSecret('DIRECTUS_TOKEN');
  const email = env.optional('DIRECTUS_EMAIL');
  const password = env.optionalSecret('DIRECTUS_PASSWORD');
  if (url === undefined) {
    if (!token && !password) return undefined;
    return env.problem('DIRECTUS_URL', 'it is not set: set it, or none of DIRECTUS_*', undefined);
  }
  const credentials = token
    ? { token }
    : email !== undefined && password
      ? { email, password }
      : undefined;
  if (credentials === undefined) {
    const fix = 'set DIRECTUS_TOKEN, or DIRECTUS_EMAIL and DIRECTUS_PASSWORD, each also with _FILE';
    return env.problem('DIRECTUS_URL', `it is set without credentials: ${fix}`, undefined);
  }
  try {
    const { directusClient } = await import('./directus/index.ts');
    return directusClient<Schema>({ url, ...credentials });
  } catch (error) {
    if (!InfrastructureError.is(error)) throw error;
    return env.problem('DIRECTUS_URL', error.message, undefined);
  }
}

/** The database that `DATABASE_URL` chooses, for who needs nothing else. Mistakes become problems of the environment. */
export async function databaseFromEnv(env: Environment): Promise<Database> {
  const directory = env.string('DATA_DIR', { default: 'data' });
  return await openComponent(env, directory, databaseVariable, undefined);
}

/** A mistake becomes a problem of the environment, and the default stands in so that the other mistakes are found too. */
async function openComponent<Component, Needed>(
  env: Environment,
  directory: string,
  variable: ComponentVariable<Component, Needed>,
  needed: Needed,
): Promise<Component> {
  const { name, schemes } = variable;
  const [fallback] = schemes;
  const text = env.optional(name);
  const targetOf = (file: string, parameters: Target['parameters']): Target => ({
    pathOr: (own) => (file === '' ? path.join(directory, own) : file),
    name: file,
    url: text ?? '',
    parameters,
    env,
  });
  const placeholder = async (): Promise<Component> => await fallback.open(targetOf('', {}), needed);

  if (text === undefined) return await placeholder();
  const location = parseLocation(text, schemes);
  if ('problem' in location) return env.problem(name, location.problem, await placeholder());
  const { scheme, file, parameters = {} } = location;
  try {
    return await scheme.open(targetOf(file, parameters), needed);
  } catch (error) {
    if (!InfrastructureError.is(error)) throw error;
    return env.problem(name, error.message, await placeholder());
  }
}

type Location<AnyScheme> =
  | {
      readonly scheme: AnyScheme;
      readonly file: string;
      readonly parameters?: Target['parameters'];
    }
  | { readonly problem: string };

// Not by `new URL`, which makes an absolute path of `file:data`. The text is never shown: it may be a password put in the wrong place.
function parseLocation<AnyScheme extends Pick<Scheme<unknown>, 'form'>>(
  text: string,
  schemes: readonly AnyScheme[],
): Location<AnyScheme> {
  const forms = `give ${schemes.map(({ form }) => form).join(' or ')}`;
  const [, name, rest = ''] = /^([a-z][a-z\d+.-]*):(.*)$/is.exec(text) ?? [];
  if (name === undefined) return { problem: `its value is not a URL: ${forms}` };
  const scheme = schemes.find(({ form }) => form.startsWith(`${name.toLowerCase()}:`));
  if (scheme === undefined) return { problem: `the scheme ${name}: is not known here: ${forms}` };
  if (rest !== '' && scheme.form.endsWith(':'))
    return { problem: `nothing may follow ${scheme.form}` };
  if (scheme.form.includes('://HOST:PORT')) return { scheme, file: '' };
  if (scheme.form.includes('://')) return parseNamed(rest, scheme);
  if (/[?#]/.test(rest))
    return { problem: `${scheme.form} takes no parameters; write ? as %3F and # as %23` };
  if (rest.startsWith('//') && !rest.startsWith('///')) {
    return {
      problem: `what follows // is the name of a machine: write ${name}:folder/name or ${name}:/folder/name`,
    };
  }
  try {
    return {
      scheme,
      file: rest.startsWith('///') ? fileURLToPath(`file:${rest}`) : decodeURIComponent(rest),
    };
  } catch {
    return { problem: `its path is not written as a URL's: write % as %25` };
  }
}

// `//NAME?PARAMETERS`, or nothing.
function parseNamed<AnyScheme extends Pick<Scheme<unknown>, 'form'>>(
  rest: string,
  scheme: AnyScheme,
): Location<AnyScheme> {
  const [, name, query = ''] = /^\/\/([^/?#@]+)\/?(?:\?([^#]*))?$/.exec(rest) ?? [];
  if (name === undefined && rest !== '') return { problem: `write it as ${scheme.form}` };
  const given = new URLSearchParams(query);
  const known = [...new URL(scheme.form).searchParams.keys()];
  const isRight = known.every((one) => given.getAll(one).length < 2);
  if (!isRight || [...given.keys()].some((one) => !known.includes(one)))
    return { problem: `its parameters are ${known.join(' and ')}, each at most once` };
  return { scheme, file: name ?? '', parameters: Object.fromEntries(given) };
}
