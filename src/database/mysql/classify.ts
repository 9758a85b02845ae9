import { type CompiledQuery, InsertQueryNode, TableNode, UpdateQueryNode } from 'kysely';

import type { Classification, Classify, Outcome } from '../../core/index.ts';
import { classifyConnectionFailure, type ConnectionFailure } from '../connection-failures.ts';

/** What the server says of an error (https://mariadb.com/kb/en/mariadb-error-code-reference/). */
interface ServerError extends Error {
  readonly errno: number;
  readonly sqlState: string;
  sqlMessage?: string;
  sql?: string;
  /** What the statement wrote to, which {@link withoutValues} adds. */
  table?: string;
  /** Which one of a text it was, from 1, which {@link withStatementNumber} adds. */
  statement?: number;
}

/** The error as the server's own, if it is one. */
function serverError(error: unknown): ServerError | undefined {
  if (!(error instanceof Error) || !('errno' in error) || !('sqlState' in error)) return undefined;
  return typeof error.errno === 'number' && typeof error.sqlState === 'string'
    ? (error as ServerError)
    : undefined;
}

/** Whether another transaction was in the way, so that the same one can succeed when it is run again. */
export function isConflict(error: unknown): boolean {
  const code = serverError(error)?.errno;
  return code === 1213 || code === 1020;
}

/** Whether the server ended the statement because it was asked to. */
export function isCancelled(error: unknown): boolean {
  return serverError(error)?.errno === 1317;
}

/** Whether the connection is gone with whatever was on it. */
export function isConnectionLost(error: unknown): boolean {
  const known = serverError(error);
  if (known !== undefined) return lostCodes.has(known.errno);
  return error instanceof Error && classifyConnection(error) !== undefined;
}

/** The server is going, or has ended this connection. */
const lostCodes: ReadonlySet<number> = new Set([
  1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031,
]);

/** Errors whose messages quote a value, and what of them is to stay. The rest name tables, columns and constraints only. */
const quoting: readonly {
  readonly codes: readonly number[];
  readonly cut: readonly [RegExp, string];
}[] = [
  { codes: [1062, 1586], cut: [/^(Duplicate entry) '.*' (for key .*)$/s, '$1 $2'] },
  // A value, and its column where it has one.
  {
    codes: [1292, 1366, 1367, 1411, 1525, 1526, 3140, 3141, 4078],
    cut: [/^([^'"]*?):? ['"].*['"](?:( for column .*?)(?: at row \d+)?)?$/s, '$1$2'],
  },
  { codes: [1690], cut: [/ in '.*'$/s, ''] },
  { codes: [1300], cut: [/: '.*'$/s, ''] },
];

/**
 * Removes values from an error's own message, where MySQL quotes them, and the statement, which `mysql2` adds. Adds the table that the
 * statement writes to, where the builder made it: the server does not say.
 */
export function withoutValues(error: unknown, query?: CompiledQuery['query']): unknown {
  const known = serverError(error);
  if (known === undefined) return error;
  const rule = quoting.find(({ codes }) => codes.includes(known.errno));
  if (rule !== undefined) {
    const full = known.message;
    const cut = full.replace(...rule.cut);
    // A message of another language, or another version, is dropped as a whole.
    known.message = cut === full ? `error ${known.errno} (${known.sqlState})` : cut;
    if (known.stack !== undefined) known.stack = known.stack.replace(full, () => known.message);
  }
  delete known.sql;
  delete known.sqlMessage;
  const table = query && tableOf(query);
  if (table !== undefined) known.table = table;
  return known;
}

/** Adds which statement of a text failed, where it is the server that says that one did. */
export function withStatementNumber(error: unknown, statement: number): unknown {
  const known = serverError(error);
  // A proxy may answer the question for another connection.
  if (known !== undefined && statement >= 1) known.statement = statement;
  return error;
}

function tableOf(query: CompiledQuery['query']): string | undefined {
  const node = InsertQueryNode.is(query)
    ? query.into
    : UpdateQueryNode.is(query)
      ? query.table
      : undefined;
  return node !== undefined && TableNode.is(node) ? node.table.identifier.name : undefined;
}

type Rule = Omit<Classification, 'message'> & { readonly advice?: string };

const unavailable = (outcome: Outcome, advice: string): Rule => ({
  code: 'unavailable',
  outcome,
  advice,
});
const wrong: Rule = { code: 'invalid-argument' };
const foreignKey: Rule = {
  code: 'failed-precondition',
  details: { constraint: 'foreign-key' },
};
const notNull: Rule = { code: 'invalid-argument', details: { constraint: 'not-null' } };
const check: Rule = { code: 'invalid-argument', details: { constraint: 'check' } };
const conflict: Rule = { code: 'aborted', retryable: true };
const unique: Rule = { code: 'already-exists', details: { constraint: 'unique' } };
const readOnly: Rule = {
  code: 'permission-denied',
  advice: 'this server or transaction is read-only, such as a replica: write to the primary',
};
const locked: Rule = {
  code: 'unavailable',
  retryable: true,
  advice: 'somebody else holds the lock: keep transactions short',
};
const lacking: Rule = {
  code: 'permission-denied',
  advice: 'the user lacks a right: grant it to the user that the application connects as',
};
const unknownUser: Rule = {
  code: 'unauthenticated',
  advice: 'the server refused the user, the password, or the host they come from',
};
const full: Rule = {
  code: 'resource-exhausted',
  retryable: false,
  advice:
    "the server's disk, or a limit of its tables, is full: free some space; nothing that was committed is lost",
};
const crowded: Rule = {
  code: 'resource-exhausted',
  advice:
    'the server has no connection left: make the pools of all processes together smaller than its max_connections',
};
const tooLong: Rule = {
  code: 'deadline-exceeded',
  // It has had its time once, and would take as long again.
  retryable: false,
  advice: 'the server ended the statement for a limit of its own: make it faster',
};
const damaged: Rule = { code: 'data-loss', advice: 'a table is damaged: restore a backup' };

/** By number, else by the class of the SQLSTATE, its first two characters. What the server refuses has had no effect, unless it says so here. */
const rules: Readonly<Record<string, Rule>> = {
  '08': { code: 'unavailable', outcome: 'unknown' },
  '0A': { code: 'unimplemented' },
  '21': wrong,
  '22': wrong,
  '23': { code: 'failed-precondition', details: { constraint: 'other' } },
  '25': { code: 'failed-precondition' },
  '28': unknownUser,
  '3D': wrong,
  '40': conflict,
  '42': wrong,
  '45': { code: 'failed-precondition' },
  '70': { code: 'cancelled' },
  '3': full,
  '1020': conflict,
  '1021': full,
  '1022': unique,
  '1030': { code: 'internal' },
  '1034': damaged,
  '1035': damaged,
  '1040': crowded,
  '1041': { code: 'resource-exhausted' },
  '1044': lacking,
  '1045': unknownUser,
  '1048': notNull,
  '1049': { code: 'not-found', advice: 'the database is not there: create it, or name another' },
  '1053': unavailable('unknown', 'the server is shutting down'),
  '1062': unique,
  '1077': unavailable('unknown', 'the server is shutting down'),
  '1079': unavailable('unknown', 'the server is shutting down'),
  '1114': full,
  '1129': {
    code: 'permission-denied',
    advice: 'the server blocks this host after too many errors: run FLUSH HOSTS',
  },
  '1130': unknownUser,
  '1142': lacking,
  '1143': lacking,
  '1146': wrong,
  '1152': unavailable('unknown', 'the connection was lost'),
  '1153': { code: 'invalid-argument', advice: "it is larger than the server's max_allowed_packet" },
  '1158': unavailable('unknown', 'the connection was lost'),
  '1159': unavailable('unknown', 'the connection was lost'),
  '1160': unavailable('unknown', 'the connection was lost'),
  '1161': unavailable('unknown', 'the connection was lost'),
  '1184': unavailable('unknown', 'the connection was lost'),
  '1194': damaged,
  '1195': damaged,
  '1203': crowded,
  '1205': locked,
  '1206': { code: 'resource-exhausted' },
  '1210': {
    code: 'invalid-argument',
    advice: 'the statement has another number of ? than of parameters, or one where it may not be',
  },
  '1213': conflict,
  '1215': { code: 'invalid-argument' },
  '1216': foreignKey,
  '1217': foreignKey,
  '1226': crowded,
  '1227': lacking,
  '1235': { code: 'unimplemented' },
  '1264': wrong,
  '1265': wrong,
  '1290': readOnly,
  '1292': wrong,
  '1295': {
    code: 'unimplemented',
    advice:
      'the server prepares every statement, and cannot prepare this one: put it into a migration, as text',
  },
  '1300': wrong,
  '1301': wrong,
  '1305': wrong,
  '1317': { code: 'cancelled', advice: 'somebody ended it with KILL' },
  '1364': notNull,
  '1365': wrong,
  '1366': wrong,
  '1367': wrong,
  '1370': lacking,
  '1390': wrong,
  '1406': wrong,
  '1411': wrong,
  '1451': foreignKey,
  '1452': foreignKey,
  '1525': wrong,
  '1526': wrong,
  '1586': unique,
  '1644': { code: 'failed-precondition' },
  '1690': wrong,
  '1698': unknownUser,
  '1792': readOnly,
  '1836': readOnly,
  '1927': unavailable('unknown', 'the connection was ended on the server'),
  '1969': tooLong,
  '3024': tooLong,
  '3140': wrong,
  '3141': wrong,
  '3169': unavailable('unknown', 'the connection was ended on the server'),
  '3572': locked,
  '3819': check,
  '4025': check,
  '4031': unavailable('unknown', 'the connection was idle for too long'),
  '4078': wrong,
};

/** Errors that are about the server and not about the statement. */
const aboutServer: ReadonlySet<number> = new Set([
  ...lostCodes,
  1040,
  1044,
  1045,
  1049,
  1129,
  1130,
  1203,
  1226,
  1290,
  1698,
  1836,
]);

/** Maps the server's errors by their number, and those of the connection by what `mysql2` says. `where` names the server. */
export function classifyMysql(where: string): Classify {
  return (error) => {
    const known = serverError(error);
    if (known !== undefined) return classifyServer(known, where);
    return error instanceof Error ? classifyConnection(error, where) : undefined;
  };
}

function classifyServer(error: ServerError, where: string): Classification {
  const { errno, sqlState, message, statement } = error;
  const rule = rules[errno] ?? rules[sqlState.slice(0, 2)] ?? { code: 'internal' as const };
  const { advice, details, ...classification } = rule;
  const said = aboutServer.has(errno) ? `MySQL at ${where}: ${message}` : message;
  return {
    outcome: 'not-applied',
    ...classification,
    message: advice === undefined ? said : `${said}: ${advice}`,
    details: {
      errno,
      sqlState,
      ...details,
      ...namesIn(error),
      ...(statement !== undefined && { statement }),
    },
  };
}

/** The names in a message. With `ANSI_QUOTES` most are between double quotes, and some are not. */
const foreignKeyNames =
  /\([`"][^`"]*[`"]\.[`"](?<table>[^`"]*)[`"], CONSTRAINT [`"](?<name>[^`"]*)[`"] FOREIGN KEY \((?<columns>[^)]*)\)/;
const keyNames = /for key '(?:(?<table>[^'.]+)\.)?(?<name>.*)'$/s;
const valueNames = / for column [`"].*[`"]\.[`"](?<table>.*)[`"]\.[`"](?<column>.*)[`"]/s;
const columnName = /for column '(?<column>.*?)' at row/s;
const names: Readonly<Record<number, RegExp>> = {
  1048: /^Column '(?<column>.*)' cannot be null/s,
  // MySQL puts the table before the key.
  1062: keyNames,
  1586: keyNames,
  1264: columnName,
  1265: columnName,
  1292: valueNames,
  1364: /^Field '(?<column>.*)' doesn't have a default value/s,
  1366: valueNames,
  1406: columnName,
  1451: foreignKeyNames,
  1452: foreignKeyNames,
  3819: /^Check constraint '(?<name>.*)' is violated/s,
  4025: /^CONSTRAINT [`"](?<name>.*)[`"] failed for [`"].*[`"]\.[`"](?<table>.*)[`"]$/s,
};

function namesIn({ errno, message, table: written }: ServerError): Record<string, unknown> {
  const found = names[errno]?.exec(message)?.groups ?? {};
  const table = found['table'] ?? written;
  const columns = found['columns']
    ?.split(',')
    .map((column) => column.trim().replaceAll(/[`"]/g, ''));
  const column = found['column'];
  return {
    ...(found['name'] !== undefined && { name: found['name'] }),
    ...(table !== undefined && { table }),
    ...(columns !== undefined && { columns }),
    ...(column !== undefined && { columns: [column] }),
  };
}

function classifyConnection(
  error: Error & { readonly code?: unknown },
  where = 'the server',
): Classification | undefined {
  if (error.code === 'AUTH_SWITCH_PLUGIN_ERROR') {
    return {
      code: 'unauthenticated',
      message: `MySQL at ${where} wants to be shown the password in a way that it cannot be: use TLS, or another plugin for the user (${error.message})`,
    };
  }
  return classifyConnectionFailure(error, {
    product: 'MySQL',
    tlsOption: 'ssl-mode',
    where,
    failureOf,
  });
}

/** What `mysql2` means by its own errors. */
function failureOf(message: string, code: string): ConnectionFailure | undefined {
  if (/^HANDSHAKE_(?:NO_)?SSL/.test(code)) return 'tls';
  if (message === 'connect ETIMEDOUT' || code === 'PROTOCOL_SEQUENCE_TIMEOUT') return 'timeout';
  if (/in closed state/.test(message)) return 'closed';
  return code.startsWith('PROTOCOL_') ? 'lost' : undefined;
}
