import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { makePostgresDatabase } from '../../../test/services/databases.ts';
import { pgliteDump } from '../../../test/services/pglite.ts';
import { service } from '../../../test/services/services.ts';
import type { Database } from '../database.ts';
import { pgliteDatabase } from '../pglite/index.ts';
import { postgresDatabase } from '../postgres/index.ts';

/** What SQL gives, and what comes back for it, on every engine. */
const values: readonly (readonly [expression: string, value: unknown])[] = [
  ['null::text', null],
  ['true', true],
  ['false', false],
  ['32767::int2', 32_767],
  ['(-2147483648)::int4', -2_147_483_648],
  ['9007199254740991::int8', Number.MAX_SAFE_INTEGER],
  ['9007199254740993::int8', 9_007_199_254_740_993n],
  ['(-9223372036854775808)::int8', -(2n ** 63n)],
  ['4294967295::oid', 4_294_967_295],
  ['0.1::float4', 0.1],
  ['0.1::float8', 0.1],
  ["'5e-324'::float8", 5e-324],
  ["'NaN'::float8", Number.NaN],
  ["'-Infinity'::float8", -Infinity],
  ["'-0'::float8", -0],
  ['123456789012345678901234567890.10::numeric', '123456789012345678901234567890.10'],
  ["'naïve 漢字 🦊'::text", 'naïve 漢字 🦊'],
  [String.raw`U&'\FEFFmarked'`, '\ufeffmarked'],
  ["''::text", ''],
  ["'ab'::char(4)", 'ab  '],
  ["'name'::name", 'name'],
  [String.raw`'\x'::bytea`, new Uint8Array()],
  [String.raw`'\x00ff5c27'::bytea`, Uint8Array.from([0, 255, 92, 39])],
  ["'2026-01-02'::date", '2026-01-02'],
  ["'infinity'::date", 'infinity'],
  ["'03:04:05.678901'::time", '03:04:05.678901'],
  ["'2026-01-02 03:04:05.678901'::timestamp", '2026-01-02T03:04:05.678901'],
  ["'2026-01-02 03:04:05+02'::timestamptz", '2026-01-02T01:04:05.000Z'],
  ["'infinity'::timestamptz", 'infinity'],
  ["'0044-03-15 12:00:00 BC'::timestamp", '0044-03-15 12:00:00 BC'],
  ["'1 year 2 days 03:04:05'::interval", '1 year 2 days 03:04:05'],
  ["'e2ff9e3a-8e2d-4a0e-8f2b-000000000001'::uuid", 'e2ff9e3a-8e2d-4a0e-8f2b-000000000001'],
  [`'{"a":[1,null,9007199254740993]}'::json`, { a: [1, null, 9_007_199_254_740_993n] }],
  [`'{"a":"b"}'::jsonb`, { a: 'b' }],
  ["'null'::jsonb", null],
  ["'(1.5,-2)'::point", { x: 1.5, y: -2 }],
  ["'<(1,2),3>'::circle", { x: 1, y: 2, radius: 3 }],
  ["'10.0.0.1/8'::inet", '10.0.0.1/8'],
  ["'[1,5)'::int4range", '[1,5)'],
  ["B'101'", '101'],
  ['array[1,null,3]', [1, null, 3]],
  ['array[]::int[]', []],
  [
    'array[[1,2],[3,4]]',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ["'[0:1]={7,8}'::int[]", [7, 8]],
  ['array[9007199254740993,1]::int8[]', [9_007_199_254_740_993n, 1]],
  ['array[true,false]', [true, false]],
  ['array[0.5,null]::float8[]', [0.5, null]],
  ['array[0.10]::numeric[]', ['0.10']],
  [
    String.raw`array['plain', '', 'NULL', null, 'a,b', '{c}', 'quote"d', 'back\slash', ' spaced ', E'new\nline']`,
    [
      'plain',
      '',
      'NULL',
      null,
      'a,b',
      '{c}',
      'quote"d',
      String.raw`back\slash`,
      ' spaced ',
      'new\nline',
    ],
  ],
  ["array['a']::varchar[]", ['a']],
  [String.raw`array['\x5c00'::bytea, null]`, [Uint8Array.from([92, 0]), null]],
  ["array['2026-01-02 03:04:05Z'::timestamptz]", ['2026-01-02T03:04:05.000Z']],
  ["array['2026-01-02'::date]", ['2026-01-02']],
  [`array['{"a":1}'::jsonb]`, [{ a: 1 }]],
  ["array['(1,2)'::point]", [{ x: 1, y: 2 }]],
  ["array['e2ff9e3a-8e2d-4a0e-8f2b-000000000001'::uuid]", ['e2ff9e3a-8e2d-4a0e-8f2b-000000000001']],
];

const { missing } = await service('postgres');

const engines: readonly {
  readonly name: string;
  readonly skip?: string | undefined;
  readonly open: () => Promise<{ database: Database; remove?: () => Promise<void> }>;
}[] = [
  {
    name: 'pglite',
    open: async () => ({
      database: pgliteDatabase({ directory: ':memory:', dump: await pgliteDump() }),
    }),
  },
  {
    name: 'postgres',
    skip: missing,
    open: async () => {
      const { url, remove } = await makePostgresDatabase();
      return { database: postgresDatabase({ url }), remove };
    },
  },
];

describe.each(engines)('$name › values', ({ skip, open }) => {
  let opened: Awaited<ReturnType<typeof open>>;

  beforeAll(async () => {
    if (skip !== undefined) return;
    opened = await open();
    await opened.database.start();
  }, 300_000);

  afterAll(async () => {
    if (skip !== undefined) return;
    await opened.database.close();
    await opened.remove?.();
  });

  it.skipIf(skip).each(values)('%s comes back the same', async (expression, value) => {
    const { rows } = await sql`select ${sql.raw(expression)} as value`.execute(
      opened.database.query,
    );
    expect(rows).toEqual([{ value }]);
  });

  it.skipIf(skip)('bytes come back the same, however the engine writes them', async () => {
    const { database } = opened;
    const rows = await database.transaction(async () => {
      await sql`set local bytea_output = escape`.execute(database.query);
      return (
        await sql`select ${sql.raw(String.raw`'\x00ff5c2761'::bytea`)} as value`.execute(
          database.query,
        )
      ).rows;
    });
    expect(rows).toEqual([{ value: Uint8Array.from([0, 255, 92, 39, 97]) }]);
  });
});
