import type { ConnectionOptions } from 'node:tls';

import {
  abortable,
  importPeer,
  InfrastructureError,
  invalidArgument,
  redact,
  type Redacted,
} from '../../core/index.ts';
import type { Script } from './scripts.ts';

const { createClient }: typeof import('redis') = await importPeer(
  'underpin/cache/redis',
  'redis',
  () => import('redis'),
);

/** A client of node-redis (`createClient` of the package `redis`), as far as the cache uses it. */
export interface RedisClient {
  readonly isOpen: boolean;
  sendCommand(
    args: readonly (string | Buffer)[],
    options?: {
      readonly abortSignal?: AbortSignal;
      readonly typeMapping?: Readonly<Record<number, BufferConstructor>>;
    },
  ): Promise<unknown>;
}

/** How to reach a server. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
  readonly database: number;
  readonly username: string;
  readonly password: Redacted | undefined;
  readonly isSecure: boolean;
  readonly tls?: ConnectionOptions | undefined;
}

/** What {@link RedisConnection} takes: a server, or a client that somebody else opens and closes. */
export interface RedisConnectionOptions {
  readonly server: RedisServer | undefined;
  readonly client: RedisClient | undefined;
}

/** How long a connection may take to be made. */
const connectTimeout = 2000;
/** A server that says nothing for this long, though it is asked each `pingInterval`, is given up and connected to anew. */
const socketTimeout = 5000;
const pingInterval = 2000;
/** The longest wait between two attempts to connect again. node-redis sits it out also when closed meanwhile. */
const longestDelay = 1000;

const origin = { component: 'cache', adapter: 'redis' };
// RESP's sign of a text, which may be a value and so no UTF-8.
const asBytes = { typeMapping: { 36: Buffer } };

/** A connection to one server, which fails at once while there is none, and comes back by itself. */
export class RedisConnection {
  readonly client: RedisClient;
  readonly #own: ReturnType<typeof makeClient> | undefined;
  #isOpen = false;
  #lastError: unknown;

  constructor({ server, client }: RedisConnectionOptions) {
    if (client === undefined && server === undefined)
      throw invalidArgument(origin, 'give the url of a Redis server, or a client');
    this.#own =
      client || !server
        ? undefined
        : makeClient(server, (retries) => (this.#isOpen ? delayBefore(retries) : false));
    this.#own?.on('error', (error: unknown) => (this.#lastError = error));
    this.#own?.on('ready', () => (this.#lastError = undefined));
    this.client = client ?? (this.#own as RedisClient);
  }

  /** Connects once; from then on it connects again by itself. */
  async open(signal?: AbortSignal): Promise<void> {
    if (this.#own === undefined) {
      if (this.client.isOpen) return;
      throw new InfrastructureError({
        ...origin,
        code: 'failed-precondition',
        message: 'the client that was given is not connected: connect it before the cache is used',
      });
    }
    if (this.#own.isOpen) return;
    const connected = this.#own.connect();
    await (signal ? abortable(connected, signal) : connected);
    this.#isOpen = true;
  }

  /** Sends a command. Texts in the answer are bytes. */
  async send(args: readonly (string | Buffer)[], signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    try {
      if (signal === undefined) return await this.client.sendCommand(args, asBytes);
      return await abortable(
        this.client.sendCommand(args, { ...asBytes, abortSignal: signal }),
        signal,
      );
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#explain(error);
    }
  }

  /** Runs a script, which the server knows by its name from the second time on. */
  async run(
    { source, sha1 }: Script,
    keys: readonly (string | Buffer)[],
    args: readonly (string | Buffer)[],
    signal?: AbortSignal,
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.send(['EVALSHA', sha1, ...rest], signal);
    } catch (error) {
      // Redis forgets its scripts when it is started again.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await this.send(['EVAL', source, ...rest], signal);
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#own?.destroy();
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    // Redis repeats what it was sent, values included.
    const echo = error.message.indexOf(', with args beginning with');
    if (echo !== -1) return new Error(error.message.slice(0, echo));
    if (error.constructor.name === 'ClientOfflineError' && this.#lastError !== undefined)
      Object.defineProperty(error, 'cause', { value: this.#lastError, configurable: true });
    return error;
  }
}

function delayBefore(retries: number): number {
  // Full jitter, so that not every process of a fleet comes back in the same moment.
  return Math.ceil(Math.random() * Math.min(longestDelay, 50 * 2 ** retries));
}

function makeClient(
  { host, port, database, username, password, isSecure, tls }: RedisServer,
  reconnectStrategy: (retries: number) => number | false,
) {
  return createClient({
    RESP: 2,
    database,
    // As a function, so that no printed configuration holds the password.
    ...(password && {
      credentialsProvider: {
        type: 'async-credentials-provider' as const,
        credentials: async () => ({ username, password: password.reveal() }),
      },
    }),
    disableOfflineQueue: true,
    // By itself it makes a timer and, 5 s later, an error for each command that was answered long ago. The policy has one timeout for all.
    commandOptions: { timeout: 0 },
    pingInterval,
    socket: {
      host,
      port,
      connectTimeout,
      socketTimeout,
      reconnectStrategy,
      ...(isSecure && { ...tls, tls: true as const }),
    },
  });
}

/** What a URL says. Throws `invalid-argument`, without the URL, for one that is none of Redis. */
export function parseRedisUrl(url: Redacted): RedisServer & { readonly prefix?: string } {
  const text = url.reveal();
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  const parameters = new URLSearchParams(parsed?.search);
  const prefix = parameters.get('prefix') ?? undefined;
  if (
    parsed === undefined ||
    !/^rediss?:$/.test(parsed.protocol) ||
    parsed.hostname === '' ||
    !/^\/?\d*$/.test(parsed.pathname) ||
    parameters.size !== (prefix === undefined ? 0 : 1) ||
    parsed.hash !== ''
  ) {
    throw invalidArgument(
      origin,
      'url is not redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=PREFIX, or rediss:// for TLS, where all but the host may be left out',
    );
  }
  const user = decoded(parsed.username);
  const password = decoded(parsed.password);
  if (user !== '' && password === '')
    throw invalidArgument(origin, 'url has a user and no password: give both, a password, or none');
  return {
    // Brackets are a URL's way to write an IPv6 address.
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(parsed.port || 6379),
    database: Number(parsed.pathname.slice(1)),
    username: user || 'default',
    password: password === '' ? undefined : redact(password),
    isSecure: parsed.protocol === 'rediss:',
    ...(prefix !== undefined && { prefix }),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalidArgument(origin, 'url has a % that encodes nothing: write % as %25');
  }
}
