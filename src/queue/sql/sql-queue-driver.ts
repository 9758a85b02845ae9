import { sql } from 'kysely';

import { type Classify, type ContextEnvelope, InfrastructureError } from '../../core/index.ts';
import type { Database } from '../../database/index.ts';
import type {
  Claim,
  ClaimedJob,
  ClaimRequest,
  EnqueuedJob,
  JobFailure,
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
import { type JobRow, type QueueTables, sqliteMigrations } from './schema.ts';
import { type ClaimedRow, nameParameters, QueueStatements } from './statements.ts';

/** The listeners of all queues on one database, so that each wakes the workers of the others. */
const listenersOf = new WeakMap<object, Set<() => void>>();

/** Jobs in a table of the application's database. */
export class SqlQueueDriver implements QueueDriver {
  readonly adapter = 'sql';
  readonly capabilities = { transactions: true } as const;
  readonly native: Database<QueueTables>;
  readonly #statements: QueueStatements;
  readonly #listeners: Set<() => void>;
  readonly #own = new Set<() => void>();

  private constructor(database: Database<QueueTables>) {
    this.native = database;
    this.#statements = new QueueStatements(database);
    this.#listeners = listenersOf.get(database) ?? new Set();
    listenersOf.set(database, this.#listeners);
  }

  /** Throws `unimplemented` for a database that is not SQLite. */
  static on<Schema>(database: Database<Schema>): SqlQueueDriver {
    if (database.adapter !== 'sqlite') {
      throw new InfrastructureError({
        code: 'unimplemented',
        component: 'queue',
        adapter: 'sql',
        message: `sqlQueue has no statements for a database of ${database.adapter}: use one of sqliteDatabase()`,
      });
    }
    // The queue's table is its own affair, and no part of the application's schema.
    return new SqlQueueDriver(database as unknown as Database<QueueTables>);
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
    await this.native.migrate(sqliteMigrations, { set: 'underpin-queue', signal });
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#statements.due.execute({ now: 0 }, { signal });
  }

  async enqueue(jobs: readonly NewJob[], signal?: AbortSignal): Promise<readonly EnqueuedJob[]> {
    const rows = jobs.map((job) => ({
      id: job.id,
      name: job.name,
      version: job.version,
      payload: job.payload,
      context: job.context === undefined ? null : JSON.stringify(job.context),
      max_attempts: job.maxAttempts,
      available_at: job.availableAt,
      created_at: job.createdAt,
      deduplication_key: job.deduplicationKey ?? null,
    }));
    const { insert, twin } = this.#statements;
    const results = await this.native.transaction(
      async () => {
        if (jobs.every(({ deduplicationKey }) => deduplicationKey === undefined)) {
          await insert.executeMany(rows, { signal });
          return jobs.map(({ id }) => ({ id, isDuplicate: false }));
        }
        const added: EnqueuedJob[] = [];
        for (const row of rows) {
          const isNew = (await insert.executeMany([row], { signal })) > 0n;
          const { id, name, deduplication_key: key } = row;
          const known = isNew
            ? { id }
            : await twin.executeTakeFirstOrThrow({ id, name, key }, { signal });
          added.push({ id: known.id, isDuplicate: known.id !== id });
        }
        return added;
      },
      { signal },
    );
    await this.native.afterCommit(this.#notify);
    return results;
  }

  async claim(
    { names, limit, now, leaseUntil }: ClaimRequest,
    signal?: AbortSignal,
  ): Promise<readonly ClaimedJob[]> {
    const parameters = { ...nameParameters(names), limit, now, leaseUntil };
    const rows = await this.#statements.claim(names.length).execute(parameters, { signal });
    // SQLite returns rows in the order in which it changed them.
    return rows
      .map(toClaimed)
      .toSorted((a, b) => a.availableAt - b.availableAt || (a.id < b.id ? -1 : 1));
  }

  async settle(
    settlements: readonly Settlement[],
    now: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const results = await this.#allOrEach(
      settlements,
      (some) => this.#settle(some, now, signal),
      signal,
    );
    if (settlements.some(({ kind }) => kind === 'retry' || kind === 'release'))
      await this.native.afterCommit(this.#notify);
    return results;
  }

  async extend(
    claims: readonly Claim[],
    leaseUntil: number,
    signal?: AbortSignal,
  ): Promise<readonly boolean[]> {
    const extend = async (some: readonly Claim[]): Promise<bigint> =>
      await this.#statements.extended.executeMany(
        some.map(({ id, generation }) => ({ id, generation, leaseUntil })),
        { signal },
      );
    return await this.#allOrEach(claims, extend, signal);
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
    const row = await this.#statements
      .nextEvent(names.length)
      .executeTakeFirst(nameParameters(names), { signal });
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

  async #settle(
    settlements: readonly Settlement[],
    now: number,
    signal: AbortSignal | undefined,
  ): Promise<bigint> {
    const { completed, kept, retried, buried, released } = this.#statements;
    const finished: Claim[] = [];
    let affected = 0n;
    for (const settlement of settlements) {
      const { id, generation } = settlement;
      switch (settlement.kind) {
        case 'complete':
          if (settlement.keepUntil === undefined) finished.push({ id, generation });
          else
            affected += await kept.executeMany(
              [{ id, generation, now, keepUntil: settlement.keepUntil }],
              { signal },
            );
          break;
        case 'retry':
          affected += await retried.executeMany(
            [
              {
                id,
                generation,
                availableAt: settlement.availableAt,
                failure: JSON.stringify(settlement.failure),
              },
            ],
            { signal },
          );
          break;
        case 'bury':
          affected += await buried.executeMany(
            [{ id, generation, now, failure: JSON.stringify(settlement.failure) }],
            { signal },
          );
          break;
        case 'release':
          affected += await released.executeMany(
            [{ id, generation, availableAt: settlement.availableAt }],
            { signal },
          );
          break;
      }
    }
    if (finished.length > 0) affected += await completed.executeMany(finished, { signal });
    return affected;
  }

  /**
   * Applies a change that touches one row for each claim that is still held. Nearly always all of them are, and their number
   * says so; when not, it is undone and done again one by one, to learn which.
   */
  async #allOrEach<Item>(
    items: readonly Item[],
    apply: (some: readonly Item[]) => Promise<bigint>,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    const partly = new Error('some of the claims are not held');
    try {
      await this.native.transaction(
        async () => {
          if ((await apply(items)) !== BigInt(items.length)) throw partly;
        },
        { signal },
      );
      return items.map(() => true);
    } catch (error) {
      if (error !== partly) throw error;
      if (items.length === 1) return [false];
    }
    return await this.native.transaction(
      async () => {
        const results: boolean[] = [];
        for (const item of items) results.push((await apply([item])) > 0n);
        return results;
      },
      { signal },
    );
  }
}

function toClaimed(row: ClaimedRow): ClaimedJob {
  return {
    id: row.id,
    generation: row.generation,
    name: row.name,
    version: row.version,
    payload: row.payload,
    // Written by `enqueue`, and by nobody else.
    context: row.context === null ? undefined : (JSON.parse(row.context) as ContextEnvelope),
    attempt: row.attempts,
    maxAttempts: row.max_attempts,
    createdAt: row.created_at,
    availableAt: row.available_at,
  };
}

function toStored(row: JobRow): StoredJob {
  const { attempt, ...claimed } = toClaimed(row);
  return {
    ...claimed,
    state: row.state,
    attempts: attempt,
    deduplicationKey: row.deduplication_key ?? undefined,
    failure: row.failure === null ? undefined : (JSON.parse(row.failure) as JobFailure),
    finishedAt: row.finished_at ?? undefined,
  };
}
