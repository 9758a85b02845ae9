import type { Classification, Classify, Outcome } from '../../core/index.ts';
import { isStale } from './stale-statements.ts';

/** What the server says of an error (https://www.postgresql.org/docs/current/protocol-error-fields.html). */
interface ServerError extends Error {
  /** The SQLSTATE. */
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
}

/** The error as the server's own, if it is one. */
export function serverError(error: unknown): ServerError | undefined {
  if (!(error instanceof Error) || !('severity' in error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
    ? (error as ServerError)
    : undefined;
}

/** Whether another transaction was in the way, so that the same one can succeed when it is run again. */
export function isConflict(error: unknown): boolean {
  const state = serverError(error)?.code;
  return state === '40001' || state === '40P01' || isStale(error);
}

/** Whether the server refused a statement since an earlier one of the same transaction had failed. */
export function isSpoilt(error: unknown): boolean {
  return serverError(error)?.code === '25P02';
}

/** Whether the server ended the statement because it was asked to, or for its time limit. */
export function isCancelled(error: unknown): boolean {
  return serverError(error)?.code === '57014';
}

/** Whether PostgreSQL has no such thing. */
export function isUnsupported(error: unknown): boolean {
  return serverError(error)?.code === '0A000';
}

/**
 * Removes values from an error's own message, which PostgreSQL quotes where it could not read one. The rest of its messages
 * name tables, columns and constraints only.
 */
export function withoutValues(error: unknown): unknown {
  const known = serverError(error);
  if (known === undefined || !known.code.startsWith('22')) return error;
  const full = known.message;
  // In whatever language the server speaks.
  known.message = full.replace(/\s*[:：].*$/s, '').replace(/["'«»„“”‘’].*["'«»„“”‘’]/s, '"…"');
  if (known.stack !== undefined) known.stack = known.stack.replace(full, () => known.message);
  return known;
}

type Rule = Omit<Classification, 'message'> & { readonly advice?: string };

const unavailable = (outcome: Outcome, advice: string): Rule => ({
  code: 'unavailable',
  outcome,
  advice,
});

/**
 * By SQLSTATE, else by its class, its first two characters (https://www.postgresql.org/docs/current/errcodes-appendix.html). What
 * the server refuses has had no effect, unless it says so here.
 */
const rules: Readonly<Record<string, Rule>> = {
  '08': { code: 'unavailable', outcome: 'unknown' },
  '0A': { code: 'unimplemented' },
  '21': { code: 'invalid-argument' },
  '22': { code: 'invalid-argument' },
  '23': { code: 'failed-precondition', details: { constraint: 'other' } },
  '23001': { code: 'failed-precondition', details: { constraint: 'foreign-key' } },
  '23502': { code: 'invalid-argument', details: { constraint: 'not-null' } },
  '23503': { code: 'failed-precondition', details: { constraint: 'foreign-key' } },
  '23505': { code: 'already-exists', details: { constraint: 'unique' } },
  '23514': { code: 'invalid-argument', details: { constraint: 'check' } },
  '23P01': { code: 'already-exists', details: { constraint: 'exclusion' } },
  '25': { code: 'failed-precondition' },
  '25006': {
    code: 'permission-denied',
    advice:
      'the transaction is read-only, by its readOnly or on a standby: leave that out, or write to the primary',
  },
  '25P02': {
    code: 'failed-precondition',
    advice:
      'an earlier statement of this transaction failed, after which PostgreSQL takes no other: put what may fail into a database.transaction() of its own inside of it',
  },
  '25P03': {
    code: 'deadline-exceeded',
    retryable: false,
    advice: 'the transaction was idle for too long: await nothing slow in it',
  },
  '26': { code: 'failed-precondition' },
  '28': {
    code: 'unauthenticated',
    advice: 'the server refused the user or the password, or has no entry for them in pg_hba.conf',
  },
  '2B': { code: 'failed-precondition' },
  '34': { code: 'failed-precondition' },
  '3D': { code: 'not-found', advice: 'the database is not there: create it, or name another' },
  '3F': { code: 'invalid-argument' },
  '40': { code: 'aborted', retryable: true },
  '40003': { code: 'unavailable', outcome: 'unknown' },
  '42': { code: 'invalid-argument' },
  '42501': {
    code: 'permission-denied',
    advice: 'the user lacks a right: grant it to the role that the application connects as',
  },
  '44': { code: 'invalid-argument', details: { constraint: 'check' } },
  '53': { code: 'resource-exhausted' },
  '53100': {
    code: 'resource-exhausted',
    retryable: false,
    advice: "the server's disk is full: free some space; nothing that was committed is lost",
  },
  '53300': {
    code: 'resource-exhausted',
    advice:
      'the server has no connection left: make the pools of all processes together smaller than its max_connections',
  },
  '54': { code: 'invalid-argument' },
  '55': { code: 'failed-precondition' },
  '55P03': { code: 'unavailable', advice: 'somebody else holds the lock' },
  '57': { code: 'unavailable', outcome: 'unknown' },
  '57014': {
    code: 'deadline-exceeded',
    // It has had its time once, and would take as long again.
    retryable: false,
    advice: 'the server ended the statement: make it faster, or its time longer (statementTimeout)',
  },
  '57P01': unavailable('unknown', 'the server is shutting down'),
  '57P02': unavailable('unknown', 'the server has crashed and is recovering'),
  '57P03': unavailable('not-applied', 'the server is starting or shutting down'),
  '57P04': { code: 'not-found', advice: 'the database was dropped' },
  '58': { code: 'internal' },
  '58030': { code: 'data-loss', advice: "the server's disk failed" },
  '58P01': { code: 'internal' },
  P0: { code: 'failed-precondition' },
  P0002: { code: 'not-found' },
  P0003: { code: 'failed-precondition' },
  XX: { code: 'internal' },
  XX001: { code: 'data-loss', advice: 'a table is damaged: restore a backup' },
  XX002: { code: 'data-loss', advice: 'an index is damaged: reindex it' },
};

/** For what a transaction had prepared before the schema was changed: run again, it is prepared anew. */
const staleRule: Rule = {
  code: 'aborted',
  retryable: true,
  advice:
    'the schema was changed under a statement that is kept prepared, or a pooler does not keep it: behind such a pooler set preparedStatements to false',
};

/** Maps the server's errors by their SQLSTATE. `where` names the database. */
export function classifyServerError(where: string): Classify {
  return (error) => {
    const known = serverError(error);
    return known === undefined ? undefined : classifyServer(known, where);
  };
}

function classifyServer(error: ServerError, where: string): Classification {
  const { code: state } = error;
  const rule = isStale(error)
    ? staleRule
    : (rules[state] ?? rules[state.slice(0, 2)] ?? { code: 'internal' as const });
  const { advice, details, ...classification } = rule;
  const isAboutServer = /^(?:08|28|3D|53|57P)/.test(state);
  const said = isAboutServer ? `PostgreSQL at ${where}: ${error.message}` : error.message;
  return {
    outcome: 'not-applied',
    ...classification,
    message: advice === undefined ? said : `${said}: ${advice}`,
    details: { sqlState: state, ...details, ...constraintDetails(error) },
  };
}

function constraintDetails({
  constraint,
  table,
  column,
  detail,
}: ServerError): Record<string, unknown> {
  const columns = column === undefined ? columnsOf(detail) : [column];
  return {
    ...(constraint === undefined ? {} : { name: constraint }),
    ...(table === undefined ? {} : { table }),
    ...(columns === undefined ? {} : { columns }),
  };
}

/**
 * The names in `Key (tenant, name)=(…) already exists.`, whose second half holds the values. Not those of a key that is still
 * referred to, which are of another table than the one that is named.
 */
function columnsOf(detail: string | undefined): string[] | undefined {
  if (detail !== undefined && / is still referenced from table /.test(detail)) return undefined;
  const names = /^Key \(([\w", ]+)\)=\(/.exec(detail ?? '')?.[1];
  return names?.split(', ').map((name) => name.replaceAll('"', ''));
}
