import type { Classification, Classify } from '../../core/index.ts';
import type { SqliteConnection } from './connection.ts';
import {
  checkFacts,
  type ConstraintFacts,
  foreignKeyFacts,
  uniqueFacts,
} from './constraint-facts.ts';

// Primary and extended result codes of https://www.sqlite.org/rescode.html.
const codes = {
  busy: 5,
  locked: 6,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  tooBig: 18,
  constraint: 19,
  mismatch: 20,
  authorization: 23,
  range: 25,
  notADatabase: 26,
  constraintCheck: 275,
  constraintForeignKey: 787,
  constraintNotNull: 1299,
  constraintPrimaryKey: 1555,
  constraintUnique: 2067,
  constraintRowId: 2579,
  ioErrorSharedMemorySize: 4874,
} as const;

/** SQLite's extended result code of an error of `node:sqlite`, or undefined. */
function sqliteErrorCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number')
    return undefined;
  return error.errcode;
}

/** Whether another connection holds the lock that a statement needed; the statement had no effect. */
export function isBusy(error: unknown): boolean {
  const code = sqliteErrorCode(error);
  return code !== undefined && (code & 0xff) === codes.busy;
}

/** Whether a read-only connection refused a statement because it writes. */
export function isRefusedWrite(error: unknown): boolean {
  return sqliteErrorCode(error) === codes.readOnly;
}

const factsOf = new WeakMap<Error, Readonly<Record<string, unknown>>>();

/** Looks up what SQLite does not say of a constraint that failed, for {@link classifySqlite} to tell. Costs only whoever failed. */
export function noteConstraint(connection: SqliteConnection, sql: string, error: unknown): void {
  const code = sqliteErrorCode(error) ?? 0;
  if ((code & 0xff) !== codes.constraint) return;
  try {
    const facts = Object.entries(lookUp(connection, sql, error as Error));
    const known = facts.filter(([, fact]) => fact !== undefined);
    if (known.length > 0) factsOf.set(error as Error, Object.fromEntries(known));
  } catch {
    // The error itself is what counts.
  }
}

function lookUp(connection: SqliteConnection, sql: string, error: Error): ConstraintFacts {
  const { details } = classifyConstraint(sqliteErrorCode(error) ?? 0, error.message);
  switch (details.constraint) {
    case 'foreign-key':
      return foreignKeyFacts(connection, sql);
    case 'check':
      return checkFacts(connection, sql);
    case 'unique':
      return uniqueFacts(connection, details);
    default:
      return {};
  }
}

/** Maps errors of `node:sqlite`, and of the file system around the file, to codes with words on what to do. */
export function classifySqlite(file: string): Classify {
  return (error) => {
    const code = sqliteErrorCode(error);
    if (code === undefined) return error instanceof Error ? classifyNode(error, file) : undefined;
    const classification = classifyCode(code, (error as Error).message, file);
    const facts = factsOf.get(error as Error);
    return facts === undefined
      ? classification
      : { ...classification, details: { ...classification.details, ...facts } };
  };
}

function classifyCode(code: number, message: string, file: string): Classification {
  switch (code & 0xff) {
    case codes.constraint:
      return classifyConstraint(code, message);
    case codes.busy:
    case codes.locked:
      return {
        code: 'unavailable',
        outcome: 'not-applied',
        message: `another process holds the write lock of "${file}": keep its transactions short, or wait longer (waitTimeout)`,
      };
    case codes.readOnly:
      return {
        code: 'permission-denied',
        message: `"${file}" cannot be written to: make the file and its folder writable for this user (${message})`,
      };
    case codes.full:
      return fullDisk(file, message);
    case codes.ioError:
      if (code === codes.ioErrorSharedMemorySize) return fullDisk(file, message);
      return {
        code: 'data-loss',
        message: `the disk failed under "${file}": check it, and its free space (${message})`,
      };
    case codes.corrupt:
      return {
        code: 'data-loss',
        outcome: 'not-applied',
        message: `"${file}" is damaged: stop the application, keep a copy, and restore a backup or use "sqlite3 FILE .recover" (${message})`,
      };
    case codes.notADatabase:
      return {
        code: 'data-loss',
        outcome: 'not-applied',
        message: `"${file}" is not an SQLite database, or its first page is damaged; it was left as it is: move it away, or name another file`,
      };
    case codes.cannotOpen:
      return {
        code: 'permission-denied',
        message: `"${file}" cannot be opened: it must be a file, not a folder, and its folder must be writable for this user (${message})`,
      };
    case codes.authorization:
      return { code: 'permission-denied' };
    case codes.tooBig:
      return {
        code: 'invalid-argument',
        message: `a value or the statement is longer than SQLite takes (${message})`,
      };
    case codes.mismatch:
      return {
        code: 'invalid-argument',
        message: `a value has the wrong type for its column (${message})`,
      };
    case codes.range:
      return {
        code: 'invalid-argument',
        message: 'there are more parameters than placeholders in the statement',
      };
    case 1:
      // Wrong SQL: a syntax error, or a name that is not there.
      return { code: 'invalid-argument', message };
    default:
      return { code: 'internal', message };
  }
}

function fullDisk(file: string, message: string): Classification {
  return {
    code: 'resource-exhausted',
    retryable: false,
    outcome: 'not-applied',
    message: `the disk under "${file}" is full: free some space; nothing that was committed is lost (${message})`,
  };
}

type ConstraintFailure = Classification & {
  readonly details: ConstraintFacts & { readonly constraint: string };
};

function classifyConstraint(code: number, message: string): ConstraintFailure {
  const subject = message.slice(message.indexOf(': ') + 2);
  switch (code) {
    case codes.constraintUnique:
    case codes.constraintPrimaryKey:
    case codes.constraintRowId: {
      const index = /^index '(.*)'$/.exec(subject)?.[1];
      return {
        code: 'already-exists',
        message,
        details:
          index === undefined
            ? { constraint: 'unique', ...columnsOf(subject) }
            : { constraint: 'unique', name: index },
      };
    }
    case codes.constraintForeignKey:
      return {
        code: 'failed-precondition',
        message:
          'a foreign key refers to a row that is not there, or rows still refer to the one that would go',
        details: { constraint: 'foreign-key' },
      };
    case codes.constraintNotNull:
      return {
        code: 'invalid-argument',
        message,
        details: { constraint: 'not-null', ...columnsOf(subject) },
      };
    case codes.constraintCheck:
      return { code: 'invalid-argument', message, details: { constraint: 'check', name: subject } };
    default:
      return { code: 'failed-precondition', message, details: { constraint: 'other' } };
  }
}

/** `user.name, user.tenant` as table and columns. */
function columnsOf(subject: string): { table: string; columns: string[] } {
  const names = subject.split(', ');
  const table = names[0]?.slice(0, names[0].lastIndexOf('.')) ?? '';
  return { table, columns: names.map((name) => name.slice(table.length + 1)) };
}

function classifyNode(error: Error & { code?: unknown }, file: string): Classification | undefined {
  switch (error.code) {
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'ENOTDIR':
    case 'ENOENT':
    case 'EEXIST':
      return {
        code: 'permission-denied',
        message: `the folder of "${file}" cannot be made: make the one above it writable for this user, or name another file (${error.code})`,
      };
    case 'ERR_INVALID_STATE':
      return { code: 'failed-precondition', message: `the database "${file}" is closed` };
    case 'ERR_INVALID_ARG_VALUE':
      return { code: 'invalid-argument', message: error.message };
    default:
      return undefined;
  }
}
