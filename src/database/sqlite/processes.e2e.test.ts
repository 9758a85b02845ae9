import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { sqliteDatabase } from './index.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-sqlite-'));
  file = path.join(folder, 'app.db');
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Runs a program with `database`, `sql` and `say` in another process. */
function start(program: string): ChildProcess {
  const source = `
    import { sql } from 'kysely';
    import { sqliteDatabase } from 'underpin/database/sqlite';
    const database = sqliteDatabase({ file: ${JSON.stringify(file)} });
    const say = (text) => process.stdout.write(text + '\\n');
    ${program}`;
  return spawn(
    process.execPath,
    ['--conditions=underpin-source', '--input-type=module', '--eval', source],
    {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
}

/** What it says; throws unless it ends as it should. */
async function lines(child: ChildProcess): Promise<string[]> {
  const all: string[] = [];
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout ?? process.stdin }))
    all.push(line);
  expect(await exited).toEqual([0, null]);
  return all;
}

describe('sqlite › processes', () => {
  it('that start at once apply each migration once', async () => {
    const program = `
      const migrations = Array.from({ length: 5 }, (_, n) => ({ name: 'm' + n, up: 'create table t' + n + ' (id integer)' }));
      const { applied } = await database.migrate(migrations);
      for (const name of applied) say(name);
      await database.close();`;
    const told = await Promise.all(
      Array.from({ length: 4 }, async () => await lines(start(program))),
    );
    expect(told.flat().toSorted()).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
  });

  it('that write at once lose no update', async () => {
    await using database = sqliteDatabase<{ counter: { n: number } }>({ file });
    await database.migrate([
      { name: '1', up: 'create table counter (n integer); insert into counter values (0)' },
    ]);
    const program = `
      for (let round = 0; round < 50; round += 1) {
        await database.transaction(async () => {
          const { rows } = await sql\`select n from counter\`.execute(database.query);
          await sql\`update counter set n = \${rows[0].n + 1}\`.execute(database.query);
        });
      }
      await database.close();`;
    await Promise.all(Array.from({ length: 4 }, async () => await lines(start(program))));
    expect(await database.query.selectFrom('counter').select('n').execute()).toEqual([{ n: 200 }]);
  });

  it('one that is killed loses no commit and leaves no half of a transaction, nor its lock', async () => {
    const child = start(`
      await sql\`create table item (id integer)\`.execute(database.query);
      for (let id = 0; id < 20; id += 1) await sql\`insert into item values (\${id})\`.execute(database.query);
      await database.transaction(async () => {
        await sql\`insert into item values (100)\`.execute(database.query);
        say('half');
        await new Promise((resolve) => setInterval(resolve, 1000000));
      });`);
    await once(createInterface({ input: child.stdout ?? process.stdin }), 'line');
    child.kill('SIGKILL');
    await once(child, 'exit');
    await using database = sqliteDatabase<{ item: { id: number } }>({ file });
    const rows = await database.query.selectFrom('item').select('id').execute();
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, id) => id));
    await database.query.insertInto('item').values({ id: 101 }).execute();
  });
});
