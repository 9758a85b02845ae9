import { sql } from 'kysely';

import { type Classify, InfrastructureError } from '../../core/index.ts';
import type { Database } from '../../database/index.ts';
import type {
  Claim,
  ClaimedJob,
  ClaimRequest,
  EnqueuedJob,
  JobFilter,
  JobState,
  Maintenance,
  NewJob,
  QueueDriver,
  RedriveRequest,
  Settlement,
  StoredJob,
} from '../driver.ts';
import { leaseEnded } from '../lease-ended.ts';
import type { QueueDialect } from './dialect.ts';
import { type NewRow, type QueueTables, toClaimed, toRow, toStored } from './row.ts';
import { SqliteDialect } from './sqlite-dialect.ts';
import { QueueStatements } from './statements.ts';

/** The listeners of all queues on one database, so that each wakes the workers of the others. */
const listenersOf = new WeakMap<object, Set<() => void>>();

/** Jobs in a table of the application's database. */
export class SqlQueueDriver implements QueueDriver {
  readonly adapter = 'sql';
  readonly capabilities = { transactions: true } as const;
  readonly native: Database<QueueTables>;
  readonly #dialect: QueueDialect;
  readonly #statements: QueueStatements;
  readonly #listeners: Set<() => void>;
  readonly #own = new Set<() => void>();

  private constructor(database: Database<QueueTables>, dialect: QueueDialect) {
    this.native = database;
    this.#dialect = dialect;
    this.#statements = new QueueStatements(database, dialect);
    this.#listeners = listenersOf.get(database) ?? new Set();
    listenersOf.set(database, this.#listeners);
  }

  /** Throws `unimplemented` for a database that is not SQLite. */
  static on<Schema>(database: Database<Schema>): SqlQueueDriver {
    // The queue's table is its own affair, and no part of the application's schema.
    const own = database as unknown as Database<QueueTables>;
    switch (database.adapter) {
      case 'sqlite':
        return new SqlQueueDriver(own, new SqliteDialect(own));
      default:
        throw new InfrastructureError({
          code: 'unimplemented',
          component: 'queue',
          adapter: 'sql',
          message: `sqlQueue has no statements for a database of ${database.adapter}: use one of sqliteDatabase()`,
        });
    }
  }

  /** The database throws the one error model's errors by itself. */
  readonly classify: Classify = () => undefined;

  async start(signal?: AbortSignal): Promise<void> {
    if (this.native.inTransaction) {
      throw new InfrastructureError({
        code: 'failed-precondition',
        component: 'queue',
        adapter: this.adapter,
        operation: 'start',
        message:
          'the first use of this queue was inside of a transaction, where its tables cannot be made: call await queue.start() before, as defineInfrastructure does',
      });
    }
    await this.native.migrate(this.#dialect.migrations, { set: 'underpin-queue', signal });
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#statements.due.execute({ now: 0 }, { signal });
  }

  async enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]> {
    const rows = jobs.map(toRow);
    // Whether a twin is there takes more than one statement to tell.
    const isKeyed = rows.some(({ deduplication_key: key }) => key !== null);
    const results = isKeyed
      ? await this.native.transaction(async () => await this.#addKeyed(rows, signal), { signal })
      : await this.#add(rows, signal);
    await this.native.afterCommit(this.#notify);
    return results;
  }

  async claim(request: ClaimRequest, signal?: AbortSignal): Promise<readonly ClaimedJob[]> {
    const rows = await this.#dialect.claim(request, signal);
    // Engines return rows in the order in which they changed them.
    return rows
      .map(toClaimed)
      .toSorted((a, b) => a.availableAt - b.availableAt || (a.id < b.id ? -1 : 1));
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await this.#dialect.settle(settlements, now, signal);
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release'))
      await this.native.afterCommit(this.#notify);
    return results;
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    return await this.#dialect.extend(claims, leaseUntil, signal);
  }

  async maintain(now: number, signal?: AbortSignal): Promise<Maintenance> {
    const { due, recover, bury, removeKept } = this.#statements;
    // Read first: an idle queue must not ask for the database's one writer all the time.
    const found = await due.executeTakeFirstOrThrow({ now }, { signal });
    if (found.leases === 0 && found.kept === 0) return { recovered: 0, buried: 0, removed: 0 };
    const failure = JSON.stringify(leaseEnded(now));
    const done = await this.native.transaction(
      async () => ({
        buried: (await bury.execute({ now, failure }, { signal })).length,
        recovered: (await recover.execute({ now, failure }, { signal })).length,
        removed: (await removeKept.execute({ now }, { signal })).length,
      }),
      { signal },
    );
    if (done.recovered > 0) await this.native.afterCommit(this.#notify);
    return done;
  }

  async nextEventAt(names: readonly string[], signal?: AbortSignal): Promise<number | undefined> {
    const parameters = { names: JSON.stringify(names) };
    const row = await this.#statements.nextEvent.executeTakeFirst(parameters, { signal });
    return row?.at ?? undefined;
  }

  listen(listener: () => void): () => void {
    // Wrapped, so that one function given twice is two listeners.
    const own = (): void => {
      listener();
    };
    this.#listeners.add(own);
    this.#own.add(own);
    return () => {
      this.#listeners.delete(own);
      this.#own.delete(own);
    };
  }

  async find(id: string, signal?: AbortSignal): Promise<StoredJob | undefined> {
    const row = await this.native.query
      .selectFrom('underpin_job')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst({ signal });
    return row && toStored(row);
  }

  async list(
    { state, name, after, limit }: JobFilter,
    signal?: AbortSignal,
  ): Promise<readonly StoredJob[]> {
    const rows = await this.native.query
      .selectFrom('underpin_job')
      .selectAll()
      // A literal, so that SQLite sees that the state's partial index will do.
      .$if(state !== undefined, (query) => query.where('state', '=', sql.lit(state ?? 'waiting')))
      .$if(name !== undefined, (query) => query.where('name', '=', name ?? ''))
      .$if(after !== undefined, (query) => query.where('id', '>', after ?? ''))
      .orderBy('id')
      .limit(limit)
      .execute({ signal });
    return rows.map(toStored);
  }

  async counts(
    name: string | undefined,
    signal?: AbortSignal,
  ): Promise<Readonly<Record<JobState, number>>> {
    const count = async (state: JobState): Promise<number> =>
      await this.#statements.count(state, name, signal);
    return {
      waiting: await count('waiting'),
      active: await count('active'),
      completed: await count('completed'),
      dead: await count('dead'),
    };
  }

  async redrive(request: RedriveRequest, signal?: AbortSignal): Promise<number> {
    const redriven = await this.#statements.redrive(request, signal);
    if (redriven > 0) await this.native.afterCommit(this.#notify);
    return redriven;
  }

  async remove(id: string, signal?: AbortSignal): Promise<boolean> {
    const { numDeletedRows } = await this.native.query
      .deleteFrom('underpin_job')
      .where('id', '=', id)
      .where('state', '!=', 'active')
      .executeTakeFirstOrThrow({ signal });
    return numDeletedRows > 0n;
  }

  async transaction<Result>(fn: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    return await this.native.transaction(fn, { signal });
  }

  /** The database is the application's: it is closed by whoever made it. */
  async close(): Promise<void> {
    for (const own of this.#own) this.#listeners.delete(own);
    this.#own.clear();
  }

  readonly #notify = (): void => {
    for (const listener of this.#listeners) listener();
  };

  async #add(
    rows: readonly NewRow[],
    signal: AbortSignal | undefined,
  ): Promise<readonly EnqueuedJob[]> {
    await this.#dialect.insert(rows, signal);
    return rows.map(({ id }) => ({ id, isDuplicate: false }));
  }

  async #addKeyed(
    rows: readonly NewRow[],
    signal: AbortSignal | undefined,
  ): Promise<readonly EnqueuedJob[]> {
    const results = new Map<NewRow, EnqueuedJob>();
    let left = rows;
    while (left.length > 0) {
      const added = await this.#dialect.insert(left, signal);
      for (const [index, row] of left.entries()) {
        const { id, name, deduplication_key: key } = row;
        const known = added[index]
          ? { id }
          : await this.#statements.twin.executeTakeFirst({ id, name, key }, { signal });
        if (known) results.set(row, { id: known.id, isDuplicate: known.id !== id });
      }
      // What was refused for a twin that has ended in this very moment is to be added after all.
      left = left.filter((row) => !results.has(row));
    }
    return rows.map((row) => results.get(row) ?? { id: row.id, isDuplicate: false });
  }
}
