import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { pgliteDump, pgliteDumpFile } from '../../../test/services/pglite.ts';
import { pgliteDatabase } from './index.ts';

let folder: string;
let directory: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'underpin-pglite-'));
  directory = path.join(folder, 'data');
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Runs a program with `database`, `sql` and `say` in another process. The database is made of a dump, or of nothing. */
async function start(program: string, from: 'dump' | 'nothing' = 'dump'): Promise<ChildProcess> {
  const dump = from === 'dump' ? `await openAsBlob(${JSON.stringify(await pgliteDumpFile())})` : '';
  const source = `
    import { openAsBlob } from 'node:fs';
    import { sql } from 'kysely';
    import { pgliteDatabase } from 'underpin/database/pglite';
    const database = pgliteDatabase({ directory: ${JSON.stringify(directory)}${dump && `, dump: ${dump}`} });
    const say = (text) => process.stdout.write(text + '\\n');
    ${program}`;
  return spawn(
    process.execPath,
    ['--conditions=underpin-source', '--input-type=module', '--eval', source],
    { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] },
  );
}

/** Kills it as soon as it has said so many lines, and gives what it said. */
async function killedAfter(child: ChildProcess, count: number): Promise<string[]> {
  const lines: string[] = [];
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
    lines.push(line);
    if (lines.length === count) child.kill('SIGKILL');
  }
  expect(await exited).toEqual([null, 'SIGKILL']);
  return lines;
}

async function ids(): Promise<number[]> {
  await using database = pgliteDatabase<{ item: { id: number } }>({ directory });
  const rows = await database.query.selectFrom('item').select('id').orderBy('id').execute();
  return rows.map(({ id }) => id);
}

describe('pglite › processes', () => {
  it('one that is killed in the midst of writes loses no commit, leaves no half, nor its lock', async () => {
    const said = await killedAfter(
      await start(`
        await sql\`create table item (id integer primary key)\`.execute(database.query);
        // Let others have their turn, as in an application.
        for (let id = 0; ; id += 2) {
          await database.transaction(async () => {
            await sql\`insert into item values (\${id})\`.execute(database.query);
            await sql\`insert into item values (\${id + 1})\`.execute(database.query);
          });
          say(id + 1);
          await new Promise(setImmediate);
        }`),
      300,
    );
    const last = Number(said.at(-1));
    const kept = await ids();
    expect(kept.length).toBeGreaterThan(last);
    expect(kept.length % 2).toBe(0);
    expect(kept).toEqual(kept.map((_, index) => index));
  });

  it('one that is killed inside of a transaction leaves nothing of it', async () => {
    await killedAfter(
      await start(`
        await sql\`create table item (id integer)\`.execute(database.query);
        await sql\`insert into item values (1)\`.execute(database.query);
        await database.transaction(async () => {
          await sql\`insert into item values (100)\`.execute(database.query);
          say('half');
          await new Promise((resolve) => setInterval(resolve, 1000000));
        });`),
      1,
    );
    expect(await ids()).toEqual([1]);
  });

  it('one that is killed while it makes the database leaves a folder that can be used', async () => {
    const child = await start('await database.start(); say("made");', 'nothing');
    while (!existsSync(path.join(directory, 'underpin.unfinished'))) await sleep(5);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await using database = pgliteDatabase<{ item: { id: number } }>({ directory });
    await database.migrate([{ name: '1', up: 'create table item (id integer)' }]);
    await database.query.insertInto('item').values({ id: 1 }).execute();
    await database.close();
    expect(await ids()).toEqual([1]);
  });

  it('one that comes second is refused, and harms nothing', async () => {
    const dump = await pgliteDump();
    await using database = pgliteDatabase<{ item: { id: number } }>({ directory, dump });
    await database.migrate([{ name: '1', up: 'create table item (id integer)' }]);
    const second = await start('await database.start().catch((error) => say(error.code));');
    const lines: string[] = [];
    for await (const line of createInterface({ input: second.stdout ?? process.stdin }))
      lines.push(line);
    expect(lines).toEqual(['failed-precondition']);
    await database.query.insertInto('item').values({ id: 1 }).execute();
    await database.close();
    expect(await ids()).toEqual([1]);
  });
});
