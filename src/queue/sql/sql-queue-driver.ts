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
import { EngineTime } from './engine-time.ts';
import { Hints } from './hints.ts';
import { PostgresDialect } from './postgres-dialect.ts';
import { type NewRow, type QueueTables, toClaimed, toRow, toStored } from './row.ts';
import { SqliteDialect } from './sqlite-dialect.ts';
import { type Due, QueueStatements } from './statements.ts';

/** Jobs in a table of the application's database. */
export class SqlQueueDriver implements QueueDriver {
  readonly adapter = 'sql';
  readonly capabilities = { transactions: true } as const;
  readonly native: Database<QueueTables>;
  readonly #dialect: QueueDialect;
  readonly #statements: QueueStatements;
  readonly #hints: Hints;
  readonly #time = new EngineTime();
  /** Each ends one listener of this driver. */
  readonly #listening = new Set<() => void>();

  private constructor(database: Database<QueueTables>, dialect: QueueDialect) {
    this.native = database;
    this.#dialect = dialect;
    this.#statements = new QueueStatements(database, dialect);
    this.#hints = Hints.of(database);
  }

  /** Throws `unimplemented` for a database whose statements it does not know. */
  static on<Schema>(database: Database<Schema>): SqlQueueDriver {
    // The queue's table is its own affair, and no part of the application's schema.
    const own = database as unknown as Database<QueueTables>;
    switch (database.adapter) {
      case 'sqlite':
        return new SqlQueueDriver(own, new SqliteDialect(own));
      case 'pglite':
      case 'postgres':
        return new SqlQueueDriver(own, new PostgresDialect(own, Hints.of(own).origin));
      default:
        throw new InfrastructureError({
          code: 'unimplemented',
          component: 'queue',
          adapter: 'sql',
          message: `sqlQueue has no statements for a database of ${database.adapter}: use one of sqliteDatabase(), pgliteDatabase() or postgresDatabase()`,
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
    await this.#due(0, signal);
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#due(0, signal);
  }

  async enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]> {
    const rows = jobs.map((job) =>
      toRow({
        ...job,
        availableAt: this.#time.toEngine(job.availableAt),
        createdAt: this.#time.toEngine(job.createdAt),
      }),
    );
    // Whether a twin is there takes more than one statement to tell.
    const isKeyed = rows.some(({ deduplication_key: key }) => key !== null);
    const results = isKeyed
      ? await this.native.transaction(async () => await this.#addKeyed(rows, signal), {
          signal,
          isolation: 'read-committed',
        })
      : await this.#add(rows, signal);
    await this.native.afterCommit(this.#hints.give);
    return results;
  }

  async claim(request: ClaimRequest, signal?: AbortSignal): Promise<readonly ClaimedJob[]> {
    const now = this.#time.toEngine(request.now);
    const leaseUntil = this.#time.toEngine(request.leaseUntil);
    const rows = await this.#dialect.claim({ ...request, now, leaseUntil }, signal);
    // Engines return rows in the order in which they changed them.
    return rows
      .map((row) => this.#fromEngine(toClaimed(row)))
      .toSorted((a, b) => a.availableAt - b.availableAt || (a.id < b.id ? -1 : 1));
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await this.#dialect.settle(
      settlements.map((settlement) => this.#toEngine(settlement)),
      this.#time.toEngine(now),
      signal,
    );
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release'))
      await this.native.afterCommit(this.#hints.give);
    return results;
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    return await this.#dialect.extend(claims, this.#time.toEngine(leaseUntil), signal);
  }

  async maintain(now: number, signal?: AbortSignal): Promise<Maintenance> {
    const { recover, bury, removeKept } = this.#statements;
    // Read first: an idle queue must not write all the time, least of all where there is one writer.
    const found = await this.#due(now, signal);
    if (found.leases === 0 && found.kept === 0) return { recovered: 0, buried: 0, removed: 0 };
    const failure = JSON.stringify(leaseEnded(now));
    const ended = { now: this.#time.toEngine(now), failure };
    const done = await this.native.transaction(
      async () => ({
        buried: (await bury.execute(ended, { signal })).length,
        recovered: (await recover.execute(ended, { signal })).length,
        removed: (await removeKept.execute(ended, { signal })).length,
      }),
      { signal, isolation: 'read-committed' },
    );
    if (done.recovered > 0) await this.native.afterCommit(this.#hints.give);
    return done;
  }

  async nextEventAt(names: readonly string[], signal?: AbortSignal): Promise<number | undefined> {
    const parameters = { names: JSON.stringify(names) };
    const row = await this.#statements.nextEvent.executeTakeFirst(parameters, { signal });
    const at = row?.at ?? undefined;
    return at === undefined ? undefined : this.#time.fromEngine(at);
  }

  listen(listener: () => void): () => void {
    const end = this.#hints.listen(listener);
    this.#listening.add(end);
    return () => {
      this.#listening.delete(end);
      end();
    };
  }

  async find(id: string, signal?: AbortSignal): Promise<StoredJob | undefined> {
    const row = await this.native.query
      .selectFrom('underpin_job')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst({ signal });
    return row && this.#fromEngine(toStored(row));
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
    return rows.map((row) => this.#fromEngine(toStored(row)));
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
    const now = this.#time.toEngine(request.now);
    const redriven = await this.#redrive({ ...request, now }, signal);
    if (redriven > 0) await this.native.afterCommit(this.#hints.give);
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
    for (const end of this.#listening) end();
    this.#listening.clear();
  }

  /** Finds what maintenance would do, and learns the engine's time on the way. */
  async #due(now: number, signal: AbortSignal | undefined): Promise<Due> {
    return await this.#time.measure(
      async () =>
        await this.#statements.due.executeTakeFirstOrThrow(
          { now: this.#time.toEngine(now) },
          { signal },
        ),
    );
  }

  async #redrive(request: RedriveRequest, signal: AbortSignal | undefined): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        // Nested, where there is one: what fails on PostgreSQL ends the transaction that it is in.
        return await this.native.transaction(
          async () => await this.#statements.redrive(request, signal),
          { signal, isolation: 'read-committed' },
        );
      } catch (error) {
        // A job with the same key was enqueued in this very moment: it is seen the next time, unless a transaction around this
        // one goes on seeing what was before.
        if (attempt === 5 || !InfrastructureError.is(error, 'already-exists')) throw error;
      }
    }
  }

  #toEngine(settlement: Settlement): Settlement {
    if (settlement.kind === 'retry' || settlement.kind === 'release')
      return { ...settlement, availableAt: this.#time.toEngine(settlement.availableAt) };
    if (settlement.kind === 'complete' && settlement.keepUntil !== undefined)
      return { ...settlement, keepUntil: this.#time.toEngine(settlement.keepUntil) };
    return settlement;
  }

  #fromEngine<Job extends ClaimedJob | StoredJob>(job: Job): Job {
    const availableAt = this.#time.fromEngine(job.availableAt);
    const createdAt = this.#time.fromEngine(job.createdAt);
    const times = { availableAt, createdAt };
    return 'finishedAt' in job && job.finishedAt !== undefined
      ? { ...job, ...times, finishedAt: this.#time.fromEngine(job.finishedAt) }
      : { ...job, ...times };
  }

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
