import type { RowMode, StatementResult } from '../driver.ts';
import type { WireValue } from './parameters.ts';

/** What a statement's answer is waited for with. */
export interface AnswerOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the limit of time is off. */
  readonly unlimited?: boolean | undefined;
}

/** What a statement is executed with. */
export interface ExecuteOptions extends AnswerOptions {
  readonly rowMode?: RowMode | undefined;
}

/** One connection to PostgreSQL while somebody has it. Statements run one after the other, and throw what the engine says. */
export interface SqlSession {
  /** Whether it is inside of a transaction, as the last answer said. */
  readonly inTransaction: boolean;
  /** Runs one statement with parameters; a text of several is refused. */
  execute(sql: string, values?: WireValue[], options?: ExecuteOptions): Promise<StatementResult>;
  /** Runs one statement for each row of parameters. Gives the sum of affected rows. */
  executeMany(sql: string, rows: readonly WireValue[][], options?: AnswerOptions): Promise<number>;
  /** Runs a text of several statements. */
  script(text: string, options?: AnswerOptions): Promise<void>;
  /** Commits the transaction. Gives false when the server rolled it back instead, since a statement in it had failed. */
  commit(signal?: AbortSignal): Promise<boolean>;
  /** Cancels what is running, and refuses what waits behind it; afterwards the connection is ready, or given up. */
  interrupt(): Promise<void>;
  /** Gives the connection back to whoever hands it out. */
  release(): void;
}
