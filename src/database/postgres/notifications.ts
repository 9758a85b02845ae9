import type { Client } from 'pg';

import type { NotificationListener } from '../driver.ts';
import { pg } from './pg.ts';

/** The longest pause before another try to connect, in milliseconds. */
const longestPause = 5000;

/** How often the connection is asked for a sign of life, in milliseconds: one that is half open never ends by itself. */
const heartbeat = 30_000;

/**
 * Listens on one connection of its own, since a pool's connections change hands. It is there while somebody listens, and is made
 * again when it is lost.
 */
export class Notifications {
  readonly #makeClient: () => Client;
  readonly #listeners = new Map<string, Set<NotificationListener>>();
  #client: Client | undefined;
  #isConnected = false;
  #told: Promise<void> = Promise.resolve();
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(makeClient: () => Client) {
    this.#makeClient = makeClient;
  }

  /** As {@link DatabaseDriver.listen}. */
  listen(channel: string, listener: NotificationListener): () => void {
    // An object of its own, so that one function may listen twice.
    const own: NotificationListener = (payload) => {
      listener(payload);
    };
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners);
    listeners.add(own);
    if (this.#client === undefined && this.#timer === undefined) this.#connect();
    else if (listeners.size === 1) this.#tell('listen', channel);
    return () => {
      if (!listeners.delete(own) || listeners.size > 0) return;
      if (this.#listeners.get(channel) === listeners) this.#listeners.delete(channel);
      if (this.#listeners.size === 0) this.#disconnect();
      else this.#tell('unlisten', channel);
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#disconnect();
  }

  #connect(): void {
    if (this.#isClosed) return;
    const client = this.#makeClient();
    this.#client = client;
    client.on('notification', ({ channel, payload = '' }) => {
      this.#emit(channel, payload);
    });
    client.on('end', () => {
      this.#lost(client);
    });
    this.#subscribe(client).catch(() => {
      this.#lost(client);
    });
  }

  async #subscribe(client: Client): Promise<void> {
    await client.connect();
    if (this.#client !== client) return;
    this.#isConnected = true;
    const channels = [...this.#listeners.keys()];
    for (const channel of channels) this.#tell('listen', channel);
    await this.#told;
    if (this.#client !== client) return;
    const isBack = this.#failures > 0;
    this.#failures = 0;
    this.#beat(client);
    if (isBack) for (const channel of channels) this.#emit(channel, undefined);
  }

  #tell(verb: 'listen' | 'unlisten', channel: string): void {
    if (this.#client !== undefined && this.#isConnected)
      void this.#query(this.#client, `${verb} ${pg.escapeIdentifier(channel)}`);
  }

  /** Runs one statement after the others, since `pg` wants them one by one. */
  async #query(client: Client, text: string): Promise<void> {
    const before = this.#told;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#told = promise;
    try {
      await before;
      if (this.#client === client) await client.query(text);
    } catch {
      this.#lost(client);
    } finally {
      resolve();
    }
  }

  #beat(client: Client): void {
    this.#timer = setTimeout(() => {
      void this.#ask(client);
    }, heartbeat);
  }

  async #ask(client: Client): Promise<void> {
    const overdue = setTimeout(() => {
      this.#lost(client);
    }, heartbeat / 3);
    await this.#query(client, 'select 1');
    clearTimeout(overdue);
    if (this.#client === client) this.#beat(client);
  }

  #lost(client: Client): void {
    if (this.#client !== client) return;
    this.#disconnect();
    if (this.#isClosed || this.#listeners.size === 0) return;
    this.#failures += 1;
    const pause = Math.random() * Math.min(longestPause, 100 * 2 ** this.#failures);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#connect();
    }, pause);
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const client = this.#client;
    this.#client = undefined;
    this.#isConnected = false;
    client?.connection.stream.destroy();
  }

  #emit(channel: string, payload: string | undefined): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(payload);
      } catch {
        // A listener's mistake must not reach the connection, nor the other listeners.
      }
    }
  }
}
