import type { ConnectionOptions } from 'node:tls';

import { abortable, InfrastructureError } from '../core/index.ts';
import type { Script } from './script.ts';
import type { RedisServer } from './options.ts';

/** A client of node-redis (`createClient` of the package `redis`), as far as it is used here. */
export interface RedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  /** Another one with the same settings, not connected. */
  duplicate(): RedisClient;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  sendCommand(
    command: readonly (string | Buffer)[],
    options?: {
      readonly abortSignal?: AbortSignal;
      readonly typeMapping?: Readonly<Record<number, BufferConstructor>>;
    },
  ): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
}

/** How {@link RedisConnection} comes to its clients: it makes them, or has one that somebody else opens and closes. */
export type ClientSource =
  | { readonly server: RedisServer; readonly tls?: ConnectionOptions | undefined }
  | { readonly client: RedisClient };

/** What {@link RedisConnection} takes. */
export interface RedisConnectionOptions {
  /** The room, for errors. */
  readonly component: string;
  readonly source: ClientSource;
  /** Of the package `redis`, which each adapter loads itself, to be named when it is missing. */
  readonly createClient: typeof import('redis').createClient;
  /** How texts in answers are given. */
  readonly texts: 'bytes' | 'strings';
}

/** For the socket, and for all until the server has let us in, in milliseconds. */
const connectTimeout = 5000;

/** For so long after an attempt to connect has failed, calls begin the next one and do not wait for it, in milliseconds. */
const awayFor = 1000;

/** How long a connection that left a call unanswered has to answer a ping, in milliseconds. */
const probeTimeout = 2000;

// RESP's sign of a text, which may be a value and so no UTF-8.
const bytes = { 36: Buffer };

/** No command was sent, for want of a connection. */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : 'no connection', { cause });
  }
}

interface Opened {
  readonly client: RedisClient;
  readonly end: () => void;
  isProbed: boolean;
}

/**
 * One connection to Redis, and a second one for messages. A connection that broke, or that does not answer, is replaced by the
 * next call that needs it: nothing goes on by itself, so that a dead server costs no timers and holds no process. While the server
 * is away, calls fail at once. A client that was given is used as it is, and never closed.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #open = new Set<Opened>();
  #current: Opened | undefined;
  #connecting: Promise<Opened> | undefined;
  #failure: { readonly cause: unknown; readonly at: number } | undefined;
  #isAway = false;
  #subscriber: Opened | undefined;
  #subscribing: Promise<void> | undefined;
  #wantsMessages = false;
  #mayNotSubscribe = false;
  #isClosed = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    const { source } = options;
    if ('client' in source)
      this.#current = { client: source.client, end: () => undefined, isProbed: false };
  }

  /** The one in use; none before the first connection was made. */
  get client(): RedisClient | undefined {
    return this.#current?.client;
  }

  /** Waits for a connection, also when the last attempt has just failed. */
  async open(signal?: AbortSignal): Promise<void> {
    const { source, component } = this.#options;
    if ('client' in source && !source.client.isOpen) {
      throw new InfrastructureError({
        component,
        adapter: 'redis',
        code: 'failed-precondition',
        message: `the client that was given is not connected: connect it before the ${component} is used`,
      });
    }
    await this.#connected(signal, 'patient');
  }

  /** Sends a command. When the signal is aborted while it waits for the answer, its effect is not known. */
  async send(command: readonly (string | Buffer)[], signal?: AbortSignal): Promise<unknown> {
    const opened = await this.#connected(signal);
    signal?.throwIfAborted();
    const answer = opened.client.sendCommand(command, {
      ...(this.#options.texts === 'bytes' && { typeMapping: bytes }),
      ...(signal && { abortSignal: signal }),
    });
    try {
      return await (signal ? abortable(answer, signal) : answer);
    } catch (error) {
      if (signal?.aborted) void this.#probe(opened);
      signal?.throwIfAborted();
      throw withoutEcho(error);
    }
  }

  /** Runs a script, which the server knows by its name from the second time on. */
  async run(
    { source, sha1 }: Script,
    keys: readonly string[] | readonly Buffer[],
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

  /**
   * Sees to it that messages are listened to, if that can be had: they are hints. The listener gets none when some may have been
   * missed: once it is subscribed, and when the connection broke. Never rejects.
   */
  async subscribe(channel: string, listener: (message?: string) => void): Promise<void> {
    this.#wantsMessages = true;
    if (this.#isClosed || this.#mayNotSubscribe || this.#subscriber?.client.isReady) return;
    this.#subscribing ??= this.#subscribe(channel, listener)
      .catch((error: unknown) => {
        // A right that is missing will be missing the next time too.
        const { cause } = error as NotConnectedError;
        if (cause instanceof Error && cause.message.startsWith('NOPERM'))
          this.#mayNotSubscribe = true;
      })
      .finally(() => {
        this.#subscribing = undefined;
      });
    await this.#subscribing;
  }

  unsubscribe(): void {
    this.#wantsMessages = false;
    this.#endSubscriber();
  }

  /** Ends all connections at once. Whoever waits for an answer gets an error. */
  close(): void {
    this.#isClosed = true;
    for (const { end } of this.#open) end();
  }

  async #connected(signal: AbortSignal | undefined, patience?: 'patient'): Promise<Opened> {
    signal?.throwIfAborted();
    if (this.#current?.client.isReady) return this.#current;
    if ('client' in this.#options.source)
      throw new NotConnectedError(new Error('the client that was given has no connection'));
    this.#connecting ??= this.#reconnect();
    if (this.#isAway && patience === undefined) throw new NotConnectedError(this.#failure?.cause);
    if (signal === undefined) return await this.#connecting;
    try {
      return await abortable(this.#connecting, signal);
    } catch (error) {
      throw signal.aborted ? new NotConnectedError(signal.reason) : error;
    }
  }

  #reconnect(): Promise<Opened> {
    this.#current?.end();
    this.#isAway = this.#failure !== undefined && performance.now() - this.#failure.at < awayFor;
    const connecting = this.#connect(async () => undefined).then(
      (opened) => {
        this.#current = opened;
        this.#failure = undefined;
        this.#connecting = undefined;
        return opened;
      },
      (error: unknown) => {
        this.#failure = { cause: (error as NotConnectedError).cause, at: performance.now() };
        this.#connecting = undefined;
        throw error;
      },
    );
    // Perhaps nobody waits for it.
    connecting.catch(() => undefined);
    return connecting;
  }

  async #subscribe(channel: string, listener: (message?: string) => void): Promise<void> {
    this.#endSubscriber();
    const opened = await this.#connect(async (client) => await client.subscribe(channel, listener));
    if (!this.#wantsMessages) {
      opened.end();
      return;
    }
    this.#subscriber = opened;
    opened.client.on('error', () => {
      listener();
    });
    listener();
  }

  #endSubscriber(): void {
    this.#subscriber?.end();
    this.#subscriber = undefined;
  }

  /** A client that is connected and prepared. Throws {@link NotConnectedError}. */
  async #connect(prepare: (client: RedisClient) => Promise<unknown>): Promise<Opened> {
    if (this.#isClosed) throw new NotConnectedError(new Error('the connection is closed'));
    const { source, createClient } = this.#options;
    const ended = new AbortController();
    const client =
      'client' in source
        ? source.client.duplicate()
        : makeClient(createClient, source, ended.signal);
    const opened: Opened = {
      client,
      end: () => {
        this.#open.delete(opened);
        if (client.isOpen) client.destroy();
        ended.abort();
      },
      isProbed: false,
    };
    // What it says here, the commands that fail say too.
    client.on('error', () => undefined);
    this.#open.add(opened);
    const overdue = new AbortController();
    // A server that hangs takes the connection, and never lets us in.
    const timer = setTimeout(() => {
      overdue.abort(new Error(`no answer within ${connectTimeout} ms`));
      opened.end();
    }, connectTimeout);
    try {
      await abortable(client.connect(), overdue.signal);
      await abortable(prepare(client), overdue.signal);
      return opened;
    } catch (error) {
      opened.end();
      throw new NotConnectedError(withoutEcho(error));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends connections to a server that answers nothing: it hangs, or the packets are lost. */
  async #probe(opened: Opened): Promise<void> {
    if (opened.isProbed || !opened.client.isReady) return;
    opened.isProbed = true;
    const timer = setTimeout(() => {
      opened.end();
      this.#endSubscriber();
    }, probeTimeout);
    await opened.client.sendCommand(['PING']).catch(() => undefined);
    clearTimeout(timer);
    opened.isProbed = false;
  }
}

/** Redis repeats what it was sent, values included. */
function withoutEcho(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const echo = error.message.indexOf(', with args beginning with');
  return echo === -1 ? error : new Error(error.message.slice(0, echo));
}

function makeClient(
  createClient: RedisConnectionOptions['createClient'],
  { server, tls }: Extract<ClientSource, { readonly server: RedisServer }>,
  signal: AbortSignal,
): RedisClient {
  const { host, port, isTls, database, username, password } = server;
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
    socket: {
      host,
      port,
      connectTimeout,
      reconnectStrategy: false,
      // What ends a socket that still connects: the client knows it only once it is connected.
      signal,
      ...(isTls && { ...tls, tls: true as const }),
    },
  });
}
