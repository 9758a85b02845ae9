import type { Socket } from 'node:net';

import type { CompiledQuery } from 'kysely';
import type { Connection, ConnectionOptions } from 'mysql2';

import { invalidArgument } from '../../core/index.ts';
import type { RowMode } from '../driver.ts';
import { mysql } from './mysql.ts';
import type { MysqlTarget } from './mysql-driver.ts';
import type { WireValue } from './parameters.ts';
import { type Answer, headerOf, resultOptions } from './results.ts';

/** How a {@link MysqlConnection} is made; times in milliseconds. */
export interface MysqlConnectionOptions {
  readonly target: MysqlTarget;
  readonly connectTimeout: number;
}

/** One statement with its parameters. */
export interface Statement {
  readonly sql: string;
  readonly values: WireValue[];
  /** What it was compiled from, which names its table where the server does not. */
  readonly query?: CompiledQuery['query'] | undefined;
}

/** What `mysql2` runs a statement with. */
interface ExecuteOptions {
  readonly sql: string;
  readonly values: WireValue[];
  readonly rowsAsArray: boolean;
}

/** What `mysql2` has and its types do not. */
interface Internals {
  readonly stream: Socket;
  readonly config: { password: unknown };
  /** It takes the options, since rows as arrays are prepared apart, and tells what the server takes. */
  prepare(
    options: ExecuteOptions,
    callback: (error: Error | null, statement: { readonly parameters: readonly unknown[] }) => void,
  ): void;
}

// https://mariadb.com/kb/en/ok_packet/#server-status-flag
const inTransactionFlag = 1;
const autocommitFlag = 2;

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
  #inTransaction = false;

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

  /** Whether it is inside of a transaction, as the server last said. */
  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /** Runs one statement, which the server prepares unless it has: its parameters are never a part of its text. */
  async execute(statement: Statement, rowMode: RowMode): Promise<Answer> {
    const options = await this.#prepareStatement(statement, rowMode);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.raw.execute(options, (error, rows, fields) => {
      if (error) reject(error);
      else resolve([rows, fields]);
    });
    return this.#noted(await promise);
  }

  /** Runs a text of one or more statements, without parameters, and so as it is. */
  async query(text: string): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.raw.query(text, (error, rows, fields) => {
      if (error) reject(error);
      else resolve([rows, fields]);
    });
    return this.#noted(await promise);
  }

  /**
   * How many statements the server has had on it, this one included. The results of a text do not say, of which a procedure gives as
   * many as it likes; what a procedure does is not counted here.
   */
  async countStatements(): Promise<number> {
    const [rows] = await this.query("show session status like 'Questions'");
    // The server's own columns of a status.
    return Number((rows as readonly { readonly Value: string }[])[0]?.Value);
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

  /** Looks whether the statement has a place for each parameter: a server reads on where one is missing. */
  async #prepareStatement({ sql, values }: Statement, rowMode: RowMode): Promise<ExecuteOptions> {
    const options: ExecuteOptions = { sql, values, rowsAsArray: rowMode === 'array' };
    const { promise, resolve, reject } = Promise.withResolvers<readonly unknown[]>();
    this.#internals.prepare(options, (error, info) => {
      if (error) reject(error);
      else resolve(info.parameters);
    });
    const places = (await promise).length;
    if (places === values.length) return options;
    throw invalidArgument(
      { component: 'database', adapter: 'mysql' },
      `the statement has ${places} places for parameters, and was given ${values.length}`,
    );
  }

  #noted(answer: Answer): Answer {
    // Of several results the last one tells; one that is rows tells nothing, and has changed nothing.
    const last = headerOf(Array.isArray(answer[0]) ? answer[0].at(-1) : answer[0]);
    if (last === undefined) return answer;
    // Where each statement is not committed by itself, the next one begins a transaction.
    const status = last.serverStatus;
    this.#inTransaction = (status & inTransactionFlag) !== 0 || (status & autocommitFlag) === 0;
    return answer;
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
