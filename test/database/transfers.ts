import { setTimeout as sleep } from 'node:timers/promises';

import { sql } from 'kysely';

import type { Database, Parameter } from '../../src/database/index.ts';
import { Random } from './random.ts';

/** What the load works on. */
export interface Tables {
  account: { id: number; balance: number };
  /** What each transfer did, in one row or in several parts. Nothing in it is unique: what is done twice must show. */
  journal: { id: string; part: number; payer: number; payee: number; amount: number };
}

/** One transfer, as its caller knows it. */
export interface Transfer {
  /** Ends with the number of its parts. */
  readonly id: string;
  readonly payer: number;
  readonly payee: number;
  /** How many rows of the journal it makes, each of which moves {@link Transfer.amount}. */
  readonly parts: number;
  readonly amount: number;
  readonly isAborted: boolean;
}

type Way = (database: Database<Tables>, transfer: Transfer, signal?: AbortSignal) => Promise<void>;

const accounts = 20;
const initialBalance = 1_000_000;

/** All there is, whoever has it. */
export const allMoney: number = accounts * initialBalance;

export async function makeAccounts(database: Database<Tables>): Promise<void> {
  await sql`create table account (id integer primary key, balance integer not null)`.execute(
    database.query,
  );
  await sql`create table journal (id text not null, part integer not null, payer integer not null,
    payee integer not null, amount integer not null)`.execute(database.query);
  const rows = Array.from({ length: accounts }, (_, id) => ({ id, balance: initialBalance }));
  await database.query.insertInto('account').values(rows).execute();
}

async function add(database: Database<Tables>, id: number, amount: number): Promise<void> {
  const balance = sql<number>`balance + ${amount}`;
  await database.query.updateTable('account').set({ balance }).where('id', '=', id).execute();
}

async function move(database: Database<Tables>, transfer: Transfer): Promise<void> {
  const { payer, payee, amount, parts } = transfer;
  await add(database, payer, -amount * parts);
  await add(database, payee, amount * parts);
}

async function note(
  database: Database<Tables>,
  { id, payer, payee, amount }: Transfer,
  signal?: AbortSignal,
): Promise<void> {
  const row = { id, part: 0, payer, payee, amount };
  await database.query.insertInto('journal').values(row).execute({ signal });
}

async function noteParts(
  database: Database<Tables>,
  { id, payer, payee, amount, parts }: Transfer,
  signal?: AbortSignal,
): Promise<void> {
  const insert = database.prepare((query, parameter: Parameter<Tables['journal']>) =>
    query.insertInto('journal').values({
      id: parameter('id'),
      part: parameter('part'),
      payer: parameter('payer'),
      payee: parameter('payee'),
      amount: parameter('amount'),
    }),
  );
  const rows = Array.from({ length: parts }, (_, part) => ({ id, part, payer, payee, amount }));
  await insert.executeMany(rows, { signal });
}

/** By statements alone, whose locks are enough. */
const byStatements: Way = async (database, transfer, signal) => {
  await database.transaction(
    async () => {
      await move(database, transfer);
      await note(database, transfer);
    },
    { signal, isolation: 'read-committed' },
  );
};

/** Reads, computes and writes: an update that is lost would show in the balance. */
const byReading: Way = async (database, transfer, signal) => {
  const { payer, payee, amount } = transfer;
  await database.transaction(
    async () => {
      const rows = await database.query
        .selectFrom('account')
        .selectAll()
        .where('id', 'in', [payer, payee])
        .execute();
      for (const { id, balance } of rows)
        await database.query
          .updateTable('account')
          .set({ balance: balance + (id === payee ? amount : -amount) })
          .where('id', '=', id)
          .execute();
      await note(database, transfer);
    },
    { signal },
  );
};

/** With a part that fails and must be undone alone, and one that must stay. */
const nested: Way = async (database, transfer, signal) => {
  const mistake = new Error('a mistake');
  await database.transaction(
    async () => {
      await note(database, transfer);
      try {
        await database.transaction(async () => {
          await note(database, transfer);
          throw mistake;
        });
      } catch (error) {
        if (error !== mistake) throw error;
      }
      await database.transaction(async () => await move(database, transfer));
    },
    { signal },
  );
};

const inParts: Way = async (database, transfer, signal) => {
  await database.transaction(
    async () => {
      await noteParts(database, transfer);
      await move(database, transfer);
    },
    { signal },
  );
};

/** Through Kysely's own transactions. */
const byKysely: Way = async (database, transfer) => {
  const { id, payer, payee, amount } = transfer;
  await database.query
    .transaction()
    .setIsolationLevel('read committed')
    .execute(async (query) => {
      for (const [account, change] of [
        [payer, -amount],
        [payee, amount],
      ] as const)
        await query
          .updateTable('account')
          .set({ balance: sql<number>`balance + ${change}` })
          .where('id', '=', account)
          .execute();
      await query.insertInto('journal').values({ id, part: 0, payer, payee, amount }).execute();
    });
};

const ways: readonly {
  readonly way: Way;
  readonly hasParts?: boolean;
  /** It moves nothing, for nothing keeps its statements together. */
  readonly isNote?: boolean;
  readonly takesNoSignal?: boolean;
}[] = [
  { way: byStatements },
  { way: byReading },
  { way: nested },
  { way: inParts, hasParts: true },
  { way: byKysely, takesNoSignal: true },
  { way: note, isNote: true },
  { way: noteParts, isNote: true, hasParts: true },
];

/** Transfers without end: the same for the same seed, but for how they meet. */
export class Transfers {
  readonly #database: Database<Tables>;
  readonly #random: Random;
  readonly #name: string;
  #count = 0;

  constructor(database: Database<Tables>, seed: number) {
    this.#database = database;
    this.#random = new Random(seed);
    this.#name = String(seed);
  }

  /** Gives what the next one is, and the call that does it. */
  next(): { readonly transfer: Transfer; readonly run: () => Promise<void> } {
    const random = this.#random;
    const { way, hasParts, isNote, takesNoSignal } = random.oneOf(ways);
    const payer = random.between(0, accounts - 1);
    // Of some, the rows do not go in one message.
    const parts = hasParts ? random.oneOf([2, 40, 1100]) : 1;
    this.#count += 1;
    const transfer: Transfer = {
      id: `${this.#name}-${this.#count}-${parts}`,
      payer,
      payee: (payer + random.between(1, accounts - 1)) % accounts,
      parts,
      amount: isNote ? 0 : random.between(1, 9),
      isAborted: !takesNoSignal && random.between(0, 9) === 0,
    };
    const patience = random.between(0, 8);
    return {
      transfer,
      run: async () => await this.#run(way, transfer, patience),
    };
  }

  async #run(way: Way, transfer: Transfer, patience: number): Promise<void> {
    if (!transfer.isAborted) {
      await way(this.#database, transfer);
      return;
    }
    const controller = new AbortController();
    const done = new AbortController();
    const abort = sleep(patience, undefined, { signal: done.signal }).then(
      () => controller.abort(),
      () => undefined,
    );
    try {
      await way(this.#database, transfer, controller.signal);
    } finally {
      done.abort();
      await abort;
    }
  }
}
