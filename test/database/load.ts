import assert from 'node:assert/strict';

import { sql } from 'kysely';

import { InfrastructureError } from '../../src/core/index.ts';
import type { Database } from '../../src/database/index.ts';
import { allMoney, type Tables, type Transfer, Transfers } from './transfers.ts';

type Told = 'applied' | 'not-applied' | 'unknown';

/** How a transfer may fail when the engine does, or is busy. Whatever else fails it is a mistake of ours. */
const expectedCodes: ReadonlySet<string> = new Set([
  'aborted',
  'cancelled',
  'deadline-exceeded',
  'resource-exhausted',
  'unavailable',
]);

/** Transfers by several callers at once, each of which remembers what it was told of its own. */
export class Load {
  readonly #database: Database<Tables>;
  readonly #told = new Map<string, { readonly transfer: Transfer; readonly told: Told }>();
  readonly #waiting: { count: number; readonly resolve: () => void }[] = [];
  readonly #callers: Promise<void>;
  #isStopped = false;

  constructor(database: Database<Tables>, seed: number, callers: number) {
    this.#database = database;
    this.#callers = Promise.all([
      ...Array.from({ length: callers }, async (_, caller) => await this.#call(seed + caller)),
      this.#audit(),
    ]).then(() => undefined);
    // Whoever waits for it is told; until then it must not end the process.
    this.#callers.catch(() => undefined);
  }

  /** Resolves once so many more transfers have succeeded. */
  async succeeded(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ count, resolve });
    // When a caller fails for good, so does this.
    await Promise.race([promise, this.#callers]);
  }

  /** Resolves when every transfer has settled. Rejects when one of them failed as none may. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#callers;
  }

  /** How many transfers were told so. */
  count(told: Told): number {
    return this.#told
      .values()
      .filter((each) => each.told === told)
      .toArray().length;
  }

  /** That what is in the database is what was told: once and whole, or not at all. */
  async verify(database: Database<Tables> = this.#database): Promise<void> {
    const rows = await database.query.selectFrom('journal').selectAll().execute();
    const parts = Map.groupBy(rows, ({ id }) => id);
    for (const [id, { transfer, told }] of this.#told) {
      const found = (parts.get(id) ?? []).map(({ part }) => part).toSorted((a, b) => a - b);
      const whole = Array.from({ length: transfer.parts }, (_, part) => part);
      const allowed = { applied: [whole], 'not-applied': [[]], unknown: [whole, []] }[told];
      assert.ok(
        allowed.some((each) => String(each) === String(found)),
        `${id} was told to be ${told}, and its parts ${String(found)} are there`,
      );
      parts.delete(id);
    }
    assert.deepEqual([...parts.keys()], [], 'nothing is there that nobody did');
    await verifyBalances(database);
  }

  async #call(seed: number): Promise<void> {
    const transfers = new Transfers(this.#database, seed);
    while (!this.#isStopped) {
      const { transfer, run } = transfers.next();
      const told = await outcomeOf(run);
      this.#told.set(transfer.id, { transfer, told });
      if (told === 'applied') this.#succeed();
    }
  }

  /** Reads, which are never to see half of a transfer. */
  async #audit(): Promise<void> {
    const query = this.#database.query.selectFrom('account').select('balance');
    while (!this.#isStopped) {
      const read = async (): Promise<void> => {
        const rows = await query.execute();
        assert.equal(sumOf(rows), allMoney, 'a statement sees one moment');
        const streamed = await Array.fromAsync(query.stream(3));
        assert.equal(sumOf(streamed), allMoney, 'a stream sees one moment');
      };
      await outcomeOf(read);
    }
  }

  #succeed(): void {
    for (const waiting of this.#waiting) {
      waiting.count -= 1;
      if (waiting.count <= 0) waiting.resolve();
    }
  }
}

/** That no transfer changed a balance twice, or by half. */
export async function verifyBalances(database: Database<Tables>): Promise<void> {
  const { rows } = await sql<{ id: number; balance: number; expected: number }>`
    select account.id, account.balance, 1000000
      + coalesce((select sum(amount) from journal where payee = account.id), 0)
      - coalesce((select sum(amount) from journal where payer = account.id), 0) as expected
    from account`.execute(database.query);
  for (const { id, balance, expected } of rows) assert.equal(balance, expected, `account ${id}`);
  assert.equal(sumOf(rows), allMoney, 'no money is lost');
}

function sumOf(rows: readonly { readonly balance: number }[]): number {
  return rows.reduce((sum, { balance }) => sum + balance, 0);
}

async function outcomeOf(run: () => Promise<void>): Promise<Told> {
  try {
    await run();
    return 'applied';
  } catch (error) {
    if (!InfrastructureError.is(error) || !expectedCodes.has(error.code)) throw error;
    return error.outcome;
  }
}
