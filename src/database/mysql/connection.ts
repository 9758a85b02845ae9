import type { Socket } from 'node:net';

import type { Connection, ConnectionOptions } from 'mysql2';

import { mysql } from './mysql.ts';
import type { MysqlTarget } from './mysql-driver.ts';
import { resultOptions } from './results.ts';

/** How a {@link MysqlConnection} is made; times in milliseconds. */
export interface MysqlConnectionOptions {
  readonly target: MysqlTarget;
  readonly connectTimeout: number;
}

/** What `mysql2` has and its types do not. */
interface Internals {
  readonly stream: Socket;
  readonly config: { password: unknown };
}

/** Statements that a connection keeps prepared. The server holds some 16,000 for all its connections. */
const preparedStatements = 100;

/**
 * What a server, or a file of its own, may have set otherwise. Nothing is cut, rounded to fit or replaced by a default without an
 * error; names and `||` mean what they mean in standard SQL; and times are those of UTC.
 */
const settings = `set names utf8mb4 collate utf8mb4_bin, sql_mode = '${[
  'STRICT_ALL_TABLES',
  'STRICT_TRANS_TABLES',
  'NO_ZERO_IN_DATE',
  'NO_ZERO_DATE',
  'ERROR_FOR_DIVISION_BY_ZERO',
  'NO_ENGINE_SUBSTITUTION',
  'ONLY_FULL_GROUP_BY',
  'ANSI_QUOTES',
  'PIPES_AS_CONCAT',
].join()}', time_zone = '+00:00', autocommit = 1,
  net_write_timeout = 28800, group_concat_max_len = 4294967295
  /*M! , max_recursive_iterations = 4294967295 */`;

/** One connection to the server, through `mysql2`. */
export class MysqlConnection {
  readonly raw: Connection;
  /** Settles once it can be used, or cannot be made. */
  readonly ready: Promise<void>;
  readonly #timeout: number;
  #isLost = false;

  constructor({ target, connectTimeout }: MysqlConnectionOptions, isBare = false) {
    this.#timeout = connectTimeout;
    this.raw = mysql.createConnection(connectionOptions(target, connectTimeout));
    const lost = (): void => {
      this.#isLost = true;
    };
    // A connection that is lost shows at its next use; without a listener it would end the process.
    this.raw.on('error', lost);
    this.raw.on('end', lost);
    this.ready = this.#prepare(isBare);
    // Whoever waits for it hears of it.
    this.ready.catch(lost);
  }

  /** Whether it can be used no more. */
  get isLost(): boolean {
    return this.#isLost || this.#internals.stream.destroyed;
  }

  /** Says goodbye to the server, and does not wait for it. */
  end(): void {
    this.#isLost = true;
    this.raw.end();
    this.#internals.stream.destroySoon();
  }

  /** Cuts it: whatever runs on it fails. */
  destroy(): void {
    this.#isLost = true;
    this.#internals.stream.destroy();
  }

  get #internals(): Internals {
    return this.raw as unknown as Internals;
  }

  async #prepare(isBare: boolean): Promise<void> {
    const connected = Promise.withResolvers<void>();
    this.raw.connect((error) => {
      if (error) connected.reject(error);
      else connected.resolve();
    });
    await connected.promise;
    // It is needed no more, and would be shown with whatever shows the connection.
    this.#internals.config.password = undefined;
    if (isBare) return;
    const prepared = Promise.withResolvers<void>();
    this.raw.query({ sql: settings, timeout: this.#timeout }, (error) => {
      if (error) prepared.reject(error);
      else prepared.resolve();
    });
    await prepared.promise;
  }
}

function connectionOptions(target: MysqlTarget, connectTimeout: number): ConnectionOptions {
  const { host, port, socket, user, database, password, ssl } = target;
  return {
    ...(socket === undefined ? { host, port } : { socketPath: socket }),
    user,
    database,
    password: password(),
    ...(ssl === undefined ? {} : { ssl }),
    connectTimeout,
    charset: 'UTF8MB4_BIN',
    // For the texts of migrations; what is prepared is one statement all the same.
    multipleStatements: true,
    maxPreparedStatements: preparedStatements,
    timezone: 'Z',
    ...resultOptions,
  };
}
