import { type CompiledQuery, UpdateQueryNode } from 'kysely';

import { InfrastructureError } from '../../core/index.ts';

// Beside the comments of standard SQL there are `#`, and those that the server reads as a part of the statement.
const firstWord =
  /^(?:[\s;(]|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|\/\*(?!M?!)[\s\S]*?\*\/|\/\*M?!\d*|\*\/)*([a-z]+)/i;
const savepointRollback = /\brollback\s+(?:work\s+)?to\b/i;
const temporary = /\b(?:create|drop)\s+(?:or\s+replace\s+)?temporary\b/i;

/** Statements that end the transaction that they are in, and do so by their meaning. */
const transactionStatements: ReadonlySet<string> = new Set([
  'begin',
  'commit',
  'rollback',
  'start',
  'xa',
]);

/** Statements that commit the transaction that they are in before they begin (https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/). */
const implicitCommits: ReadonlySet<string> = new Set([
  'alter',
  'analyze',
  'cache',
  'change',
  'create',
  'drop',
  'flush',
  'grant',
  'install',
  'lock',
  'optimize',
  'rename',
  'repair',
  'reset',
  'revoke',
  'stop',
  'truncate',
  'uninstall',
  'unlock',
]);

function firstWordOf(sql: string): string {
  return firstWord.exec(sql)?.[1]?.toLowerCase() ?? '';
}

/** Whether a statement ends the transaction that it is in; to roll back to a savepoint does not. */
export function endsTransaction(sql: string): boolean {
  return transactionStatements.has(firstWordOf(sql)) && !savepointRollback.test(sql);
}

/** Whether a statement, most of them of schemas, commits the transaction that it is in. */
export function commitsImplicitly(sql: string): boolean {
  return implicitCommits.has(firstWordOf(sql)) && !temporary.test(sql);
}

// What may hold a semicolon that ends no statement: texts, names and comments.
const opaque =
  /'(?:[^'\\]|''|\\[\s\S])*'|"(?:[^"\\]|""|\\[\s\S])*"|`[^`]*`|--\s[^\n]*|#[^\n]*|\/\*(?!M?!)[\s\S]*?\*\//g;
const routine = /\bcreate\b[^;]*\b(?:procedure|function|trigger|event|package)\b/i;

/** Whether one of several statements ends the transaction that they are in. */
export function scriptEndsTransaction(text: string): boolean {
  const bare = text.replaceAll(opaque, ' ');
  // The bodies of routines hold statements, and a BEGIN of their own.
  return !routine.test(bare) && bare.split(';').some(endsTransaction);
}

/** The error of raw SQL that began or ended a transaction, or would have. */
export function transactionStatementRefused(): InfrastructureError {
  return refusal(
    'raw SQL must not begin or end a transaction, and what it was part of is rolled back: use database.transaction()',
  );
}

/** The error of a statement in a transaction that would have committed it. */
export function implicitCommitRefused(): InfrastructureError {
  return refusal(
    'MySQL would commit the transaction at this statement, as at all that change the schema, and it is rolled back instead: run the statement outside of the transaction, or in a migration',
  );
}

/** Throws for an update that is to give its rows, which neither MySQL nor MariaDB does. */
export function refuseReturning({ query }: Pick<CompiledQuery, 'query'>): void {
  if (!UpdateQueryNode.is(query) || query.returning === undefined) return;
  throw new InfrastructureError({
    code: 'unimplemented',
    component: 'database',
    adapter: 'mysql',
    message:
      'MySQL and MariaDB have no update … returning: select the rows after the update, in the same transaction',
    details: { capability: 'returning' },
  });
}

/** The error of a statement in a transaction that only reads, and that would change the schema. */
export function readOnlyRefused(): InfrastructureError {
  return new InfrastructureError({
    code: 'permission-denied',
    component: 'database',
    adapter: 'mysql',
    message:
      'this transaction is read-only, and the statement changes the schema: leave readOnly out',
  });
}

/** The error of a statement after which the server had no transaction any more. */
export function endedByServer(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'mysql',
    outcome: 'unknown',
    message:
      'a statement, such as a call of a procedure, ended the transaction, and may have committed what came before it: take out what commits, and look what was done',
  });
}

function refusal(message: string): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    adapter: 'mysql',
    message,
  });
}
