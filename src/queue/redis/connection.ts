import type { ConnectionOptions } from 'node:tls';

import { abortable, importPeer } from '../../core/index.ts';
import type { RedisTarget } from './target.ts';

const redis: typeof import('redis') = await importPeer(
  'underpin/queue/redis',
  'redis',
  () => import('redis'),
);

/** A client of node-redis (`createClient` of the package `redis`), as far as the queue uses it. */
export interface RedisClient {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  /** Another one with the same settings, not connected. */
  duplicate(): RedisClient;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  sendCommand(command: readonly string[]): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
}

/** How {@link RedisConnection} comes to its clients. */
export type ClientSource =
  | { readonly target: RedisTarget; readonly tls?: ConnectionOptions | undefined }
  | { readonly client: RedisClient };

/** For the socket, and for all until the server has let us in, in milliseconds. */
const connectTimeout = 5000;

/** How long a connection that left a call unanswered has to answer a ping, in milliseconds. */
const probeTimeout = 2000;

/** An error of connecting: no command was sent. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : 'no connection to Redis', { cause });
  }
}

interface Opened {
  readonly client: RedisClient;
  readonly end: () => void;
}

/**
 * One connection to Redis, and a second one for messages. A connection that broke, or that does not answer, is replaced by the
 * next call that needs it: nothing goes on by itself, so that a dead server costs no timers and holds no process. A client that
 * was given is used as it is, and never closed.
 */
export class RedisConnection {
  readonly #source: ClientSource;
  readonly #open = new Set<Opened>();
  #current: Opened | undefined;
  #connecting: Promise<Opened> | undefined;
  #subscriber: Opened | undefined;
  #subscribing: Promise<void> | undefined;
  #mayNotSubscribe = false;
  #isClosed = false;

  constructor(source: ClientSource) {
    this.#source = source;
    if ('client' in source) this.#current = { client: source.client, end: () => undefined };
  }

  get client(): RedisClient | undefined {
    return this.#current?.client;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await this.#connected(signal);
  }

  /** Sends a command. When the signal is aborted while it waits for the answer, its effect is not known. */
  async send(command: readonly string[], signal?: AbortSignal): Promise<unknown> {
    const opened = await this.#connected(signal);
    signal?.throwIfAborted();
    const answer = opened.client.sendCommand(command);
    if (signal === undefined) return await answer;
    try {
      return await abortable(answer, signal);
    } finally {
      if (signal.aborted) void this.#probe(opened);
    }
  }

  /**
   * Sees to it that messages are listened to, if that can be had: they are hints. The listener gets none when some may have been
   * missed: once it is subscribed, and when the connection broke. Never rejects.
   */
  async subscribe(channel: string, listener: (message?: string) => void): Promise<void> {
    if (this.#isClosed || this.#mayNotSubscribe || this.#subscriber?.client.isReady) return;
    this.#subscribing ??= this.#subscribe(channel, listener)
      .catch((error: unknown) => {
        // A right that is missing will be missing the next time too.
        if (error instanceof redis.ErrorReply) this.#mayNotSubscribe = true;
      })
      .finally(() => {
        this.#subscribing = undefined;
      });
    await this.#subscribing;
  }

  unsubscribe(): void {
    this.#subscriber?.end();
    this.#subscriber = undefined;
  }

  /** Ends all connections at once. Whoever waits for an answer gets an error. */
  close(): void {
    this.#isClosed = true;
    for (const { end } of this.#open) end();
  }

  async #connected(signal: AbortSignal | undefined): Promise<Opened> {
    signal?.throwIfAborted();
    if (this.#current?.client.isReady) return this.#current;
    if ('client' in this.#source)
      throw new ConnectError(new Error('the client that was given is not connected'));
    this.#connecting ??= this.#connect()
      .then((opened) => (this.#current = opened))
      .finally(() => {
        this.#connecting = undefined;
      });
    return await (signal ? abortable(this.#connecting, signal) : this.#connecting);
  }

  async #subscribe(channel: string, listener: (message?: string) => void): Promise<void> {
    this.#subscriber?.end();
    const opened = await this.#connect();
    this.#subscriber = opened;
    await opened.client.subscribe(channel, listener);
    opened.client.on('error', () => {
      listener();
    });
    listener();
  }

  async #connect(): Promise<Opened> {
    if (this.#isClosed) throw new ConnectError(new Error('the connection is closed'));
    const ended = new AbortController();
    const client =
      'client' in this.#source
        ? this.#source.client.duplicate()
        : makeClient(this.#source, ended.signal);
    const opened: Opened = {
      client,
      end: () => {
        this.#open.delete(opened);
        if (client.isOpen) client.destroy();
        ended.abort();
      },
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
      return opened;
    } catch (error) {
      opened.end();
      throw new ConnectError(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends connections to a server that answers nothing: it hangs, or the packets are lost. */
  async #probe(opened: Opened): Promise<void> {
    if (!opened.client.isReady) return;
    const timer = setTimeout(() => {
      opened.end();
      this.unsubscribe();
    }, probeTimeout);
    await opened.client.sendCommand(['PING']).catch(() => undefined);
    clearTimeout(timer);
  }
}

function makeClient(
  { target, tls }: Extract<ClientSource, { readonly target: RedisTarget }>,
  signal: AbortSignal,
): RedisClient {
  const { host, port, isTls, database, username = 'default', password } = target;
  return redis.createClient({
    database,
    // As a function, so that no printed configuration holds the password.
    ...(password && {
      credentialsProvider: {
        type: 'async-credentials-provider',
        credentials: async () => ({ username, password: password.reveal() }),
      },
    }),
    disableOfflineQueue: true,
    maintNotifications: 'disabled',
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
