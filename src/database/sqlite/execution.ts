import { setImmediate as nextTurn } from 'node:timers/promises';

import type { CompiledQuery } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';
import type { RowMode, StatementResult, StatementStream } from '../driver.ts';
import type { SqliteConnection } from './connection.ts';
import { toSqliteValues } from './parameters.ts';
import type { StatementKind } from './routing.ts';

/** A statement, and how its rows are to come. */
export interface Execution {
  readonly query: CompiledQuery;
  readonly kind: StatementKind;
  readonly rowMode: RowMode | undefined;
}

/** Runs a statement on a connection, and says what it changed where SQLite's word is about it. */
export function executeOn(
  connection: SqliteConnection,
  { query, kind, rowMode }: Execution,
): StatementResult {
  const { rows, changes } = connection.execute(
    query.sql,
    toSqliteValues(query.parameters),
    rowMode,
  );
  if (!kind.changesRows) return { rows };
  if (changes === undefined)
    return kind.isRead ? { rows } : { rows, numAffectedRows: BigInt(rows.length) };
  const numAffectedRows = BigInt(changes.changes);
  if (!kind.insertsRows || changes.changes === 0) return { rows, numAffectedRows };
  return { rows, numAffectedRows, insertId: BigInt(changes.lastInsertRowid) };
}

/** Lets other work have its turn between chunks: reading one blocks. */
export async function* paced(
  chunks: Iterable<StatementResult['rows']>,
  signal: AbortSignal | undefined,
): StatementStream {
  for (const rows of chunks) {
    signal?.throwIfAborted();
    yield { rows };
    await nextTurn();
  }
}

/** The error of raw SQL that began or ended a transaction. */
export function transactionStatementRefused(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'sqlite',
    message:
      'raw SQL must not begin or end a transaction, and what it was part of is rolled back: use database.transaction()',
  });
}
