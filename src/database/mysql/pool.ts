import { MysqlConnection, type MysqlConnectionOptions } from './connection.ts';

/** Options of a {@link MysqlPool}; times in milliseconds. */
export interface MysqlPoolOptions extends MysqlConnectionOptions {
  readonly idleTimeout: number;
  /** How long a connection is used, at most. 0 for as long as it lasts. */
  readonly maxLifetime: number;
}

interface Entry {
  readonly expiresAt: number;
  timer?: NodeJS.Timeout;
}

/**
 * The connections that there are. Its users wait for a place at a semaphore, so that it makes as many as there are places and bounds
 * nothing itself; the pool of `mysql2` has no lifetime for its connections and cannot be told to stop a wait.
 */
export class MysqlPool {
  readonly #options: MysqlPoolOptions;
  readonly #entries = new Map<MysqlConnection, Entry>();
  /** Those that nobody uses; the last one that was used goes first, so that the others can time out. */
  readonly #idle: MysqlConnection[] = [];

  constructor(options: MysqlPoolOptions) {
    this.#options = options;
  }

  /** How many connections there are, also those that are still being made. */
  get totalCount(): number {
    return this.#entries.size;
  }

  /** How many of them nobody uses. */
  get idleCount(): number {
    return this.#idle.length;
  }

  /** A connection that is there already, if one is that can be used. */
  takeIdle(): MysqlConnection | undefined {
    for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) {
      const entry = this.#entries.get(connection);
      clearTimeout(entry?.timer);
      if (!connection.isLost && entry !== undefined && entry.expiresAt > performance.now())
        return connection;
      this.#close(connection);
    }
    return undefined;
  }

  /** Makes a connection; the caller waits until it is ready. */
  make(): MysqlConnection {
    const connection = new MysqlConnection(this.#options);
    const { maxLifetime } = this.#options;
    // Those that were made at the same time must not all be made anew at the same time.
    const lifetime = maxLifetime === 0 ? Infinity : maxLifetime * (0.8 + 0.2 * Math.random());
    this.#entries.set(connection, { expiresAt: performance.now() + lifetime });
    return connection;
  }

  /** Takes a connection back. */
  release(connection: MysqlConnection): void {
    const entry = this.#entries.get(connection);
    if (connection.isLost || entry === undefined || entry.expiresAt <= performance.now()) {
      this.#close(connection);
      return;
    }
    entry.timer = setTimeout(() => {
      this.#idle.splice(this.#idle.indexOf(connection), 1);
      this.#close(connection);
    }, this.#options.idleTimeout);
    this.#idle.push(connection);
  }

  /** Closes all of them, in whatever state. */
  close(): void {
    for (const connection of this.#idle.splice(0)) {
      clearTimeout(this.#entries.get(connection)?.timer);
      this.#close(connection);
    }
    for (const connection of this.#entries.keys()) {
      connection.destroy();
      this.#entries.delete(connection);
    }
  }

  #close(connection: MysqlConnection): void {
    this.#entries.delete(connection);
    if (connection.isLost) connection.destroy();
    else connection.end();
  }
}
