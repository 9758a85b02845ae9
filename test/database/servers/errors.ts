import { AsyncLocalStorage } from 'node:async_hooks';
import { inspect } from 'node:util';

import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { failureOf } from '../../support/failure.ts';
import type { InfrastructureError } from '../../../src/core/index.ts';
import { type Classify, subscribeToOperations } from '../../../src/core/index.ts';
import type { TestDatabase } from '../../services/databases.ts';
import type { ServerDatabase, ServerOptions, ServerTarget } from './targets.ts';

/** The password of {@link reader} and {@link stranger}, which no error may show. */
export const password = 'canary-password';

/** What stands in statements and parameters, which no error may show. */
export const payload = 'canary-payload';

// Users belong to the whole server.
/** A user with rights to the tables of a test. */
export const reader: string = `reader_${process.pid}`;
/** A user with no right to the database of a test. */
export const stranger: string = `stranger_${process.pid}`;

/** How an error is. */
export interface Expected {
  readonly code: string;
  readonly outcome: string;
  readonly retryable: boolean;
  readonly message?: RegExp;
  readonly details?: Record<string, unknown>;
}

/** A statement that the server refuses. */
export type RefusedStatement = Expected & { readonly what: string; readonly text: string };

/** The error of what the server refused for good. */
export function refused(code: string, details?: Record<string, unknown>): Expected {
  return { code, outcome: 'not-applied', retryable: false, ...(details && { details }) };
}

/** That an error is as expected, and shows neither {@link password} nor {@link payload}. */
export function expectIt(
  error: InfrastructureError,
  { code, outcome, retryable, message = /./, details = {} }: Expected,
): void {
  expect(error).toMatchObject({ code, outcome, retryable, details });
  expect(error.message).toMatch(message);
  const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}`;
  for (const secret of [password, payload]) expect(shown).not.toContain(secret);
}

/** What a server says and wants in words of its own. */
export interface ServerErrors {
  readonly target: Pick<ServerTarget, 'engine' | 'missing' | 'make' | 'open'>;
  /** Of which server the errors are. */
  readonly server: string;
  /** The SQL that makes the tables of {@link statements}, and the two users. */
  readonly tables: (database: string) => string;
  /** The SQL that drops the two users. */
  readonly dropUsers: readonly string[];
  readonly statements: readonly RefusedStatement[];
  /** What it says of a password that is wrong, and of a database `nowhere`. */
  readonly says: { readonly wrongPassword: RegExp; readonly noDatabase: RegExp };
  /** What the URL asks for TLS with, and what the refusal names. */
  readonly tls: { readonly parameter: string; readonly setting: RegExp };
  /** Rules of this server alone, on its database as {@link reader} has it. */
  readonly more: (database: () => ServerDatabase) => void;
}

/** The rules on the errors of every server. */
export function describeServerErrors({
  target,
  server,
  tables,
  dropUsers,
  statements,
  says,
  tls,
  more,
}: ServerErrors): void {
  describe.skipIf(target.missing)(`database ${target.engine} › errors of ${server}`, () => {
    let made: TestDatabase;
    let holder: ServerDatabase;
    let database: ServerDatabase;

    beforeAll(async () => {
      made = await target.make();
      holder = target.open({ url: made.url });
      const up = tables(new URL(made.url).pathname.slice(1));
      await holder.migrate([{ name: 'tables', up }]);
      database = target.open({
        url: changed(new URL(made.url), { username: reader, password }),
        statementTimeout: '1s',
      });
    });

    afterAll(async () => {
      await database?.close();
      if (holder) for (const text of dropUsers) await sql.raw(text).execute(holder.query);
      await holder?.close();
      await made?.remove();
    });

    test.each(statements)('$what is $code', async ({ what, text, ...expected }) => {
      await holder.transaction(async () => {
        if (what.startsWith('a lock'))
          await sql`select * from locked for update`.execute(holder.query);
        const events: unknown[] = [];
        const unsubscribe = subscribeToOperations({ end: ({ error }) => void events.push(error) });
        try {
          expectIt(await failureOf(sql.raw(text).execute(database.query)), expected);
        } finally {
          unsubscribe();
        }
        for (const event of events) expect(inspect(event)).not.toContain(payload);
        // The connection is as good as before.
        expect((await sql`select 1 as one`.execute(database.query)).rows).toEqual([{ one: 1 }]);
      });
    });

    test.each(setups(says, tls))(
      '$what is $code, at the start',
      async ({ options, ...expected }) => {
        await using other = target.open({ url: made.url, ...options(new URL(made.url)) });
        for (const call of [other.start(), other.transaction(async () => undefined)]) {
          const error = await failureOf(call);
          expect(error.component).toBe('database');
          expectIt(error, expected);
        }
      },
    );

    test('a pool of which nothing is free is resource-exhausted, and says who waits', async () => {
      await using small = target.open({ url: made.url, poolSize: 1, waitTimeout: 50 });
      const outside = AsyncLocalStorage.snapshot();
      await small.transaction(async () => {
        const error = await failureOf(
          outside(async () => await sql`select 1`.execute(small.query)),
        );
        expect(error.details).toMatchObject({ waiting: 1 });
        expectIt(error, {
          code: 'resource-exhausted',
          outcome: 'not-applied',
          retryable: true,
          message: /one of the 1 connections .* was not free within 50 ms, and 1 wait for it/,
        });
      });
    });

    test('nothing that is printed of it shows the password', () => {
      const url = changed(new URL(made.url), { password });
      const secretive = target.open({ url });
      const shown =
        inspect(secretive, { depth: 12, showHidden: true }) +
        inspect(secretive.native, { depth: 12, showHidden: true });
      expect(shown).not.toContain(password);
    });

    more(() => database);
  });
}

/** The rules on what a connection can suffer on every server, as the adapter's classifier reads it. */
export function describeLostConnections(engine: string, classify: Classify): void {
  test.each([
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ETIMEDOUT',
    'ECONNRESET',
    'EPIPE',
    'ERR_SSL_BAD_RECORD',
  ])(
    `database ${engine} › errors › %s, which a connection in use may have too, leaves the outcome unknown`,
    (code) => {
      const error = Object.assign(new Error(`write ${code}`), { code });
      expect(classify(error)).toMatchObject({ outcome: 'unknown' });
    },
  );
}

/** Options with which nothing can be reached. */
function setups(
  says: ServerErrors['says'],
  tls: ServerErrors['tls'],
): readonly (Expected & {
  readonly what: string;
  readonly options: (url: URL) => Partial<ServerOptions>;
})[] {
  const unavailable = { code: 'unavailable', outcome: 'not-applied', retryable: true };
  return [
    {
      what: 'a wrong password',
      options: () => ({ password }),
      ...refused('unauthenticated'),
      message: says.wrongPassword,
    },
    {
      what: 'a user that is not there',
      options: (url) => ({ url: changed(url, { username: 'nobody', password }) }),
      ...refused('unauthenticated'),
    },
    {
      what: 'a user without a right to the database',
      options: (url) => ({ url: changed(url, { username: stranger, password }) }),
      ...refused('permission-denied'),
    },
    {
      what: 'a database that is not there',
      options: (url) => ({ url: changed(url, { pathname: 'nowhere' }) }),
      ...refused('not-found'),
      message: says.noDatabase,
    },
    {
      what: 'a port on which nobody listens',
      options: (url) => ({ url: changed(url, { port: '1' }) }),
      ...unavailable,
      message: /127\.0\.0\.1:1\/.* is it running/,
    },
    {
      what: 'a host that is not there',
      options: (url) => ({ url: changed(url, { hostname: 'nowhere.invalid' }) }),
      ...unavailable,
    },
    {
      what: 'a server without TLS',
      options: (url) => ({ url: `${url.href}?${tls.parameter}` }),
      ...refused('failed-precondition'),
      message: tls.setting,
    },
  ];
}

function changed(url: URL, change: Partial<URL>): string {
  return Object.assign(new URL(url), change).href;
}
