import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { sqliteDatabase } from '../database/sqlite/index.ts';
import { runCommand } from './cli.ts';

let root: string;
let folder: string;
let file: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'underpin-cli-'));
  folder = path.join(root, 'migrations');
  file = path.join(root, 'app.db');
  await mkdir(folder);
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

interface Ended {
  readonly code: number;
  readonly printed: string;
  readonly complaints: string;
}

async function underpin(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const printed: string[] = [];
  const complaints: string[] = [];
  const code = await runCommand(args, {
    env: { DATABASE_URL: `sqlite:${file}`, ...env },
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
    complain: (line) => complaints.push(line),
  });
  return { code, printed: printed.join('\n'), complaints: complaints.join('\n') };
}

async function migrate(...args: readonly string[]): Promise<Ended> {
  return await underpin(['migrate', ...args, '--folder', folder]);
}

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
}

async function inDatabase(...texts: readonly string[]): Promise<unknown[]> {
  await using database = sqliteDatabase({ file });
  let rows: unknown[] = [];
  for (const text of texts) ({ rows } = await sql.raw(text).execute(database.query));
  return rows;
}

const articles = {
  '0001-articles.sql': 'create table article (id integer primary key, title text not null);',
  '0001-articles.down.sql': 'drop table article;',
  '0002-titles.mjs': `export const up = async (query) => {
    await query.schema.createIndex('article_by_title').on('article').column('title').execute();
    await query.insertInto('article').values({ title: 'canary' }).execute();
  };
  export const down = 'drop index article_by_title';`,
};

describe('cli', () => {
  it('help is printed, and without a command the line is wrong', async () => {
    expect(await underpin(['--help'])).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/migrate/),
    });
    expect(await underpin(['migrate', '--help'])).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/--dry-run/),
    });
    expect(await underpin(['types', '-h'])).toMatchObject({
      code: 0,
      printed: expect.stringMatching(/--out/),
    });
    expect((await underpin([])).code).toBe(2);
  });

  it.for<[string, readonly string[], RegExp]>([
    ['a command', ['migrat'], /no command migrat: did you mean migrate/],
    ['an action', ['migrate', 'stauts'], /no action stauts: did you mean status/],
    ['an option', ['migrate', '--dryrun'], /no option --dryrun: did you mean --dry-run/],
    [
      'an option of another action',
      ['migrate', 'status', '--steps', '2'],
      /--steps has no meaning for status/,
    ],
    ['a value that is no number', ['migrate', 'down', '--steps', 'x'], /whole number/],
    ['two ways to say how far', ['migrate', 'down', '--steps', '1', '--to', 'a'], /not both/],
    ['a word too many', ['migrate', 'up', 'now'], /now is one word too many/],
    ['a name that is missing', ['migrate', 'create'], /needs a name/],
    ['a name that is none', ['migrate', 'create', '../x'], /no name for a migration/],
    ['a check of nothing', ['types', '--check'], /--check needs --out/],
  ])('%s that is wrong ends with 2, and says what is right', async ([, args, message]) => {
    const { code, complaints, printed } = await underpin(args);
    expect([code, printed]).toEqual([2, '']);
    expect(complaints).toMatch(message);
    expect(complaints).toMatch(/Run: underpin .*--help/);
  });

  it('a wrong environment is told without the password', async () => {
    await write(articles);
    const canary = 'canary-password';
    for (const url of [
      `postgres://app:${canary}@127.0.0.1:1/app`,
      `mongo://app:${canary}@host/x`,
    ]) {
      for (const env of [{ DATABASE_URL: url }, {}]) {
        const args = ['migrate', 'up', '--folder', folder];
        const { code, complaints, printed } = await underpin(
          'DATABASE_URL' in env ? args : [...args, '--database', url],
          env,
        );
        expect([code, printed]).toEqual([1, '']);
        expect(complaints).toMatch(/127\.0\.0\.1:1|scheme mongo/);
        expect(complaints).not.toContain(canary);
      }
    }
  });

  it('the URL of the database may stand in a file', async () => {
    await write(articles);
    const secret = path.join(root, 'url');
    await writeFile(secret, `sqlite:${file}\n`);
    const env = { DATABASE_URL: '', DATABASE_URL_FILE: secret };
    expect(await underpin(['migrate', '--folder', folder], env)).toMatchObject({ code: 0 });
    expect(await inDatabase('select title from article')).toEqual([{ title: 'canary' }]);
  });
});

describe('cli › migrate', () => {
  it('up tells each that it applied, and down each that it reverted', async () => {
    await write(articles);
    expect(await migrate()).toEqual({
      code: 0,
      printed: 'applied 0001-articles\napplied 0002-titles\n2 migrations applied',
      complaints: '',
    });
    expect((await migrate('up')).printed).toBe('nothing to apply');
    expect((await migrate('down')).printed).toBe('reverted 0002-titles\n1 migration reverted');
    expect((await migrate('up', '--to', '0001-articles')).printed).toBe('nothing to apply');
    expect((await migrate('down', '--steps', '5')).printed).toBe(
      'reverted 0001-articles\n1 migration reverted',
    );
    expect((await migrate('down')).printed).toBe('nothing to revert');
    expect((await migrate('up', '--to', '0001-articles')).printed).toContain('1 migration applied');
  });

  it('one that fails ends with 1, and those before it are told', async () => {
    await write({ ...articles, '0002-titles.mjs': 'export const up = "create tabel x"' });
    const { code, printed, complaints } = await migrate();
    expect([code, printed]).toEqual([1, 'applied 0001-articles']);
    expect(complaints).toMatch(/^underpin: migration "0002-titles" failed: .*tabel/);
    expect((await migrate('up', '--to', 'titels')).complaints).toMatch(/not-found/);
  });

  it('a dry run prints the SQL without the values of parameters, and changes nothing', async () => {
    await write(articles);
    const { code, printed } = await migrate('--dry-run');
    expect(code).toBe(0);
    expect(printed).toBe(`-- 0001-articles
create table article (id integer primary key, title text not null);

-- 0002-titles
create index "article_by_title" on "article" ("title");
insert into "article" ("title") values (?); -- with 1 parameter
`);
    expect(await inDatabase('select name from sqlite_schema')).toEqual([]);
    await migrate();
    expect((await migrate('down', '--dry-run')).printed).toBe(
      '-- reverting 0002-titles\ndrop index article_by_title;\n',
    );
    expect((await migrate('--dry-run')).printed).toBe('-- nothing to apply');
  });

  it('status lists what has become of each, and a check ends with 1 unless all is well', async () => {
    await write(articles);
    const states = async (): Promise<[number, string]> => {
      const { code, printed } = await migrate('status', '--check');
      return [code, printed.replaceAll(/\d{4}-\d\d-\d\dT\S+/g, 'TIME')];
    };
    expect(await states()).toEqual([1, '0001-articles  pending\n0002-titles    pending']);
    expect((await migrate('status')).code).toBe(0);
    await migrate();
    expect(await states()).toEqual([
      0,
      '0001-articles  applied  TIME\n0002-titles    applied  TIME',
    ]);
    await inDatabase('drop index article_by_title');
    expect(await states()).toEqual([
      1,
      '0001-articles  applied  TIME\n0002-titles    applied  TIME\nthe schema is not what they made it:\n  table article: index article_by_title is gone',
    ]);
    await write({ '0001-articles.sql': 'create table article (id integer);' });
    expect((await states())[1]).toContain('0001-articles  edited   TIME');
    const { code, complaints } = await migrate();
    expect(code).toBe(1);
    expect(complaints).toMatch(/0001-articles.*edited/);
  });

  it('up refuses what drifted until it is accepted', async () => {
    await write(articles);
    await migrate();
    await inDatabase('alter table article add column extra text');
    await write({ '0003-years.sql': 'alter table article add column year integer' });
    const { code, complaints } = await migrate();
    expect(code).toBe(1);
    expect(complaints).toMatch(/column extra was added.*--accept-drift/);
    expect((await migrate('--accept-drift')).printed).toContain('applied 0003-years');
    expect((await migrate('status', '--check')).code).toBe(0);
  });

  it('sets have histories of their own', async () => {
    await write(articles);
    await migrate();
    await write({ '0001-articles.sql': 'create table other (id integer);' });
    await rm(path.join(folder, '0002-titles.mjs'));
    expect((await migrate('--set', 'other')).printed).toContain('applied 0001-articles');
  });

  it('create writes the next number, overwrites nothing, and is refused by up until it is written', async () => {
    await rm(folder, { recursive: true });
    expect((await migrate('create', 'Create articles')).code).toBe(0);
    expect((await migrate('create', 'add-subtitle', '--ts')).code).toBe(0);
    expect((await readdir(folder)).toSorted()).toEqual([
      '0001-create-articles.down.sql',
      '0001-create-articles.sql',
      '0002-add-subtitle.ts',
    ]);
    expect((await migrate()).complaints).toMatch(/0001-create-articles.sql is empty/);
    await write({
      '0001-create-articles.sql': articles['0001-articles.sql'],
      '0001-create-articles.down.sql': articles['0001-articles.down.sql'],
    });
    expect((await migrate()).complaints).toMatch(/write what 0002-add-subtitle does/);
    await write({ '20-late.sql': 'select 1' });
    expect((await migrate('create', 'later')).printed).toContain('21-later.sql');
  });
});

describe('cli › types', () => {
  it('are written, and checked, also when a formatter has been over them', async () => {
    await inDatabase('create table article (id integer primary key, day date)');
    const out = path.join(root, 'src/schema.ts');
    const types = async (...args: readonly string[]): Promise<Ended> =>
      await underpin(['types', '--out', out, ...args]);
    expect((await types('--check')).code).toBe(1);
    expect(await types()).toMatchObject({ code: 0, printed: `wrote ${out}` });
    const text = await readFile(out, 'utf8');
    expect((await underpin(['types'])).printed).toBe(text.trimEnd());
    expect((await types('--check')).code).toBe(0);
    await writeFile(
      out,
      text.replaceAll("'", '"').replace('string | number', '\n  | string\n | number'),
    );
    expect((await types('--check')).code).toBe(0);
    await inDatabase('alter table article add column title text');
    expect(await types('--check')).toMatchObject({
      code: 1,
      complaints: expect.stringContaining('run underpin types --out'),
    });
    expect((await types()).code).toBe(0);
    expect(await readFile(out, 'utf8')).toContain('title: string | null;');
  });
});
