import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';

import { invalidArgument, type Redacted } from '../../core/index.ts';
import type { AnyDatabase, Copies } from '../copies.ts';

/** How often it is looked whether another process has filled a template, in milliseconds. */
const lockInterval = 50;

/** Databases of a PostgreSQL server, each with the name of its template or copy. */
export class PostgresCopies implements Copies {
  readonly #url: Redacted;
  readonly #open: (url: string) => AnyDatabase;

  /** `url` is that of any database of the server. */
  constructor(url: Redacted, open: (url: string) => AnyDatabase) {
    if (!URL.canParse(url.reveal()))
      throw invalidArgument(
        { component: 'database' },
        'url is no URL: write postgres://HOST:PORT/DATABASE, with a user who may create databases',
      );
    this.#url = url;
    this.#open = open;
  }

  async makeTemplate(name: string, fill: (target: string) => Promise<void>): Promise<void> {
    await using database = this.#connect();
    if (await exists(database, name)) return;
    // Databases are made outside of the transaction that holds the lock, which ends with the process if not before.
    await using locking = this.#connect();
    await locking.transaction(
      async () => {
        await lock(locking, name);
        if (await exists(database, name)) return;
        const filling = `${name}_filling`;
        await run(database, `drop database if exists ${filling} with (force)`);
        try {
          await run(database, `create database ${filling}`);
          await fill(this.#urlOf(filling));
          // Nobody can connect by mistake, in which case no copy could be made.
          await run(database, `alter database ${filling} with allow_connections false`);
          await run(database, `alter database ${filling} rename to ${name}`);
        } catch (error) {
          await run(database, `drop database if exists ${filling} with (force)`);
          throw error;
        }
      },
      { isolation: 'read-committed', retries: 0 },
    );
  }

  async copy(template: string, name: string): Promise<string> {
    await using database = this.#connect();
    await run(database, `create database ${name} template ${template}`);
    return this.#urlOf(name);
  }

  async remove(name: string): Promise<void> {
    await using database = this.#connect();
    await run(database, `drop database if exists ${name} with (force)`);
  }

  async names(): Promise<readonly string[]> {
    await using database = this.#connect();
    const { rows } = await sql<{ name: string }>`select datname as name from pg_database
      where datname like 'underpin\\_%'`.execute(database.query);
    return rows.map(({ name }) => name);
  }

  #connect(): AnyDatabase {
    const database = this.#open(this.#url.reveal());
    if (database.adapter === 'postgres') return database;
    throw invalidArgument(
      { component: 'database', adapter: database.adapter },
      'a template with a url is one of PostgreSQL: let open give a postgresDatabase',
    );
  }

  #urlOf(database: string): string {
    const url = new URL(this.#url.reveal());
    url.pathname = database;
    return url.href;
  }
}

/** Runs what cannot have parameters; the names in it are our own. */
async function run({ query }: AnyDatabase, text: string): Promise<void> {
  await sql.raw(text).execute(query);
}

async function exists({ query }: AnyDatabase, name: string): Promise<boolean> {
  const { rows } = await sql`select 1 from pg_database where datname = ${name}`.execute(query);
  return rows.length > 0;
}

/** Asks again and again: a wait on the server would end with the time that a statement may take. */
async function lock({ query }: AnyDatabase, name: string): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ taken: boolean }>`
      select pg_try_advisory_xact_lock(hashtextextended(${name}, 0)) as taken`.execute(query);
    if (rows[0]?.taken === true) return;
    await sleep(lockInterval);
  }
}
