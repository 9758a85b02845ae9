import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type Exit, GazetteProcess } from '../testing/gazette-process.ts';

const run = promisify(execFile);
const mounts: string[] = [];
let folder: string;
let environment: Record<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-start-'));
  const articles = path.join(folder, 'articles');
  await mkdir(articles);
  await writeFile(path.join(articles, 'one.md'), '# One\n\nThe first.\n\nText.');
  environment = { DATA_DIR: path.join(folder, 'data'), ARTICLES_DIR: articles };
});

afterEach(async () => {
  for (const mount of mounts.splice(0)) await run('umount', [mount]);
  await rm(folder, { recursive: true });
});

/** Only root of a machine that lets it can mount; elsewhere these tests say why they cannot run. */
const cannotMount = await probeMount();

async function probeMount(): Promise<string | undefined> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'gazette-mount-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
    await run('umount', [directory]);
    return undefined;
  } catch (error) {
    return `a file system cannot be mounted here: ${(error as Error).message.split('\n')[0]}`;
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function mount(name: string, options: string): Promise<string> {
  const directory = path.join(folder, name);
  await mkdir(directory);
  await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  mounts.push(directory);
  return directory;
}

async function startAndStop(env: Record<string, string> = {}): Promise<Exit> {
  const gazette = new GazetteProcess({ ...environment, ...env });
  await gazette.url();
  return await gazette.stop();
}

/** Runs what must not start, and gives its one line. */
async function refusal(env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await new GazetteProcess({ ...environment, ...env }).exit;
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^gazette: [^\n]+\n$/);
  return stderr;
}

/** The title on the front page, after a start without faults. */
async function frontPage(env: Record<string, string> = {}): Promise<string> {
  const gazette = new GazetteProcess({ ...environment, ...env });
  const page = await (await fetch(await gazette.url())).text();
  await gazette.stop();
  return page;
}

describe('start', () => {
  test('it prints its address, serves the articles of the folder with pictures, and ends in order when asked', async () => {
    const gazette = new GazetteProcess(environment);
    const url = await gazette.url();
    const page = await (await fetch(url)).text();
    expect(page).toContain('>One</a>');
    const picture = /src="(\/pictures\/[^"]+)"/.exec(page)?.[1] ?? '';
    expect((await fetch(url + picture)).headers.get('content-type')).toMatch(/^image\//);
    expect(await gazette.stop()).toMatchObject({ code: 0, stderr: '' });
  });

  test('a second start keeps what is there, and takes over a changed file', async () => {
    await startAndStop();
    await writeFile(path.join(environment['ARTICLES_DIR'] ?? '', 'one.md'), '# Changed\n\nText.');
    const page = await frontPage();
    expect(page).toContain('>Changed</a>');
    expect(page).not.toContain('>One</a>');
  });
});

describe('a mistake at the start is one line, and damages nothing', () => {
  test('a port in use', async () => {
    await startAndStop();
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => void server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await writeFile(path.join(environment['ARTICLES_DIR'] ?? '', 'two.md'), '# Two\n\nText.');
    expect(await refusal({ PORT: String(port) })).toContain(`port ${port} of 127.0.0.1 is in use`);
    server.close();
    const nothingNew = path.join(folder, 'nothing-new');
    await mkdir(nothingNew);
    const page = await frontPage({ ARTICLES_DIR: nothingNew });
    expect(page).toContain('>One</a>');
    expect(page).not.toContain('>Two</a>');
  });

  test('an address that is not of this machine', async () => {
    expect(await refusal({ HOST: '192.0.2.1' })).toContain('HOST is "192.0.2.1"');
  });

  test('a corrupt database file', async () => {
    const file = path.join(environment['DATA_DIR'] ?? '', 'app.db');
    await mkdir(path.dirname(file));
    const bytes = Buffer.alloc(8192, 'this was a shopping list ');
    await writeFile(file, bytes);
    expect(await refusal()).toContain(file);
    expect(await readFile(file)).toEqual(bytes);
  });

  test('a database whose pages were damaged', async () => {
    await startAndStop();
    const file = path.join(environment['DATA_DIR'] ?? '', 'app.db');
    const bytes = await readFile(file);
    bytes.fill(0xff, 4096);
    await writeFile(file, bytes);
    expect(await refusal()).toMatch(/database/i);
    expect(await readFile(file)).toEqual(bytes);
  });

  test('a data folder that lies under a file', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, 'mine');
    expect(await refusal({ DATA_DIR: path.join(file, 'data') })).toContain(file);
    expect(await readFile(file, 'utf8')).toBe('mine');
  });

  test.each([
    ['STORAGE_URL', 'ftp://files.example', 'file:'],
    ['DATABASE_URL', 'not a url', 'sqlite:'],
    ['MAIL_URL', 'pigeon:loft', 'inbox:'],
    ['PORT', '80000', '65535'],
    ['SITE_URL', 'http://gazette.example', 'https:'],
    ['LOG_LEVEL', 'loud', 'info'],
  ])('%s is %s', async (variable, value, remedy) => {
    const line = await refusal({ [variable]: value });
    expect(line).toContain(variable);
    expect(line).toContain(remedy);
    expect(await readdir(folder)).toEqual(['articles']);
  });

  test('a folder of articles that is not there', async () => {
    const line = await refusal({ ARTICLES_DIR: path.join(folder, 'nowhere') });
    expect(line).toContain('ARTICLES_DIR');
  });

  test('all mistakes in the environment are told at once', async () => {
    const { code, stderr } = await new GazetteProcess({
      ...environment,
      PORT: 'x',
      STORAGE_URL: 'ftp:x',
      QUEUE_URL: 'x',
    }).exit;
    expect(code).toBe(1);
    for (const variable of ['PORT', 'STORAGE_URL', 'QUEUE_URL']) expect(stderr).toContain(variable);
  });

  test.skipIf(cannotMount)(
    `a read-only data folder${cannotMount === undefined ? '' : ` (${cannotMount})`}`,
    async () => {
      const directory = await mount('read-only', 'ro,size=1m');
      expect(await refusal({ DATA_DIR: directory })).toContain(directory);
    },
  );

  test.skipIf(cannotMount)(
    `a full disk, before the first start${cannotMount === undefined ? '' : ` (${cannotMount})`}`,
    async () => {
      const directory = await mount('full', 'size=64k');
      await writeFile(path.join(directory, 'ballast'), Buffer.alloc(60 * 1024));
      expect(await refusal({ DATA_DIR: directory })).toMatch(/full|space/i);
      await rm(path.join(directory, 'ballast'));
    },
  );

  test.skipIf(cannotMount)(
    `a full disk, when there is already a newspaper on it${cannotMount === undefined ? '' : ` (${cannotMount})`}`,
    async () => {
      const directory = await mount('filled', 'size=4m');
      await startAndStop({ DATA_DIR: directory });
      const ballast = path.join(directory, 'ballast');
      await fillDisk(ballast);
      await writeFile(
        path.join(environment['ARTICLES_DIR'] ?? '', 'two.md'),
        `# Two\n\nThe second.\n\n${'Long. '.repeat(50_000)}`,
      );
      expect(await refusal({ DATA_DIR: directory })).toMatch(/full|space/i);
      await rm(ballast);
      const page = await frontPage({ DATA_DIR: directory });
      expect(page).toContain('>One</a>');
      expect(page).toContain('>Two</a>');
    },
  );
});

async function fillDisk(file: string): Promise<void> {
  const block = Buffer.alloc(4096);
  for (let isFull = false; !isFull;) {
    isFull = await writeFile(file, block, { flag: 'a' }).then(
      () => false,
      () => true,
    );
  }
  expect((await stat(file)).size).toBeGreaterThan(0);
}
