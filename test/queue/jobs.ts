import type { Database } from '../../src/database/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { defineJob, type JobDefinition } from '../../src/queue/index.ts';
import { z } from 'zod';

interface Numbered {
  readonly number: number;
}

const payload = z.object({ number: z.number() });

/** A job whose handler writes one row, in the transaction that acknowledges it. */
export const atomicJob: JobDefinition<Numbered, Numbered> = defineJob({ name: 'atomic', payload });

/** A job whose handler writes one row, and is then acknowledged. */
export const plainJob: JobDefinition<Numbered, Numbered> = defineJob({ name: 'plain', payload });

/** The table that the handlers write to. A type and no interface, which would lack the index signature that Kysely asks for. */
export type Tables = { effect: { kind: string; number: number; attempt: number } };

/** Opens the database of the handlers and their jobs: a PostgreSQL URL, or a file of SQLite. */
export function openDatabase(target: string): Database<Tables> {
  return target.startsWith('postgres:')
    ? postgresDatabase<Tables>({ url: target })
    : sqliteDatabase<Tables>({ file: target });
}

/** Makes the table of the handlers. */
export async function makeTables(database: Database<Tables>): Promise<void> {
  await database.migrate([
    {
      name: '0001-effects',
      up: 'create table effect (kind text not null, number integer not null, attempt integer not null)',
    },
  ]);
}
