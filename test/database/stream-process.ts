import { sql } from 'kysely';

import type { Database } from '../../src/database/index.ts';
import { mysqlDatabase } from '../../src/database/mysql/index.ts';
import { pgliteDatabase } from '../../src/database/pglite/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqliteDatabase } from '../../src/database/sqlite/index.ts';
import { pgliteDump } from '../services/pglite.ts';

const engines: Readonly<Record<string, (address: string) => Database | Promise<Database>>> = {
  sqlite: (file) => sqliteDatabase({ file }),
  pglite: async (directory) => pgliteDatabase({ directory, dump: await pgliteDump() }),
  postgres: (url) => postgresDatabase({ url }),
  mysql: (url) => mysqlDatabase({ url }),
};

// Streams as many rows as it is told, keeps them if it is told, and says how many there were.
const [engine = '', address = '', powerOfTen = '', length = '', chunkSize = '', keeps = ''] =
  process.argv.slice(2);
await using database = (await engines[engine]?.(address)) ?? process.exit(2);
const digits = sql.join(
  Array.from({ length: 10 }, (_, digit) => sql`select ${sql.lit(digit)} as d`),
  sql` union all `,
);
const places = Array.from({ length: Number(powerOfTen) }, (_, place) => sql.raw(`digit d${place}`));
const text = sql.lit('x'.repeat(Number(length)));
const rows = database.query
  .selectFrom(
    sql<{
      text: string;
    }>`(with digit as (${digits}) select ${text} as text from ${sql.join(places)})`.as('made'),
  )
  .select('text')
  .stream(Number(chunkSize));
const kept: unknown[] = [];
let count = 0;
for await (const row of rows) {
  if (row.text.length === Number(length)) count += 1;
  if (keeps === 'keep') kept.push(row);
}
process.stdout.write(`${count} rows\n`);
