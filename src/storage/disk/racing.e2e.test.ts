import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { FileStorage } from '../storage.ts';
import { type DiskStorageDriver, diskStorage } from './index.ts';

const races = 100;
const names = ['one', 'two'];

/** Gives one racer its order, and resolves with its answer. */
type Ask = (order: string) => Promise<string>;

let directory: string;
let files: FileStorage<DiskStorageDriver>;
let racers: { readonly ask: Ask; readonly end: () => Promise<void> }[];

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'underpin-racing-'));
  files = diskStorage({ directory });
  racers = await Promise.all(names.map(startRacer));
});

afterEach(async () => {
  for (const { end } of racers) await end();
  await files.close();
  await rm(directory, { recursive: true, force: true });
});

async function startRacer(name: string): Promise<(typeof racers)[number]> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=underpin-source',
      path.join(import.meta.dirname, '../../../test/storage/racing-process.ts'),
      directory,
      name,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<string> => String((await lines.next()).value);
  expect(await answer()).toBe('ready');
  return {
    async ask(order) {
      child.stdin.write(`${order}\n`);
      return await answer();
    },
    async end() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

/** Lets both processes do the same at once, as often as the races are. Gives how many had one winner, whose content is there. */
async function race(orders: (round: number) => Promise<readonly string[]>): Promise<number> {
  let decided = 0;
  for (let round = 0; round < races; round += 1) {
    const given = await orders(round);
    const answers = await Promise.all(
      racers.map(async ({ ask }, at) => await ask(given[at] ?? '')),
    );
    const content = await (await files.get(`key/${round}`)).text();
    const winner = names[answers.indexOf('won')];
    if (answers.toSorted().join(' ') === 'lost won' && content === winner) decided += 1;
  }
  return decided;
}

describe('disk storage › racing processes', () => {
  it("ifNoneMatch '*' has one winner in each of 100 races", async () => {
    const decided = await race(async (round) => names.map(() => `absent key/${round}`));
    expect(decided).toBe(races);
  });

  it('ifMatch has one winner in each of 100 races', async () => {
    const decided = await race(async (round) => {
      const { etag } = await files.put(`key/${round}`, 'old');
      return names.map(() => `match key/${round} ${etag}`);
    });
    expect(decided).toBe(races);
  });

  it('completing uploads under a condition has one winner in each of 100 races', async () => {
    const decided = await race(async (round) => {
      const key = `key/${round}`;
      const condition =
        round % 2 === 0
          ? ({ ifNoneMatch: '*' } as const)
          : { ifMatch: (await files.put(key, 'old')).etag };
      const uploads = names.map(async (name) => {
        const upload = await files.createUpload(key, condition);
        await upload.putPart(1, name);
        return `complete ${key} ${upload.token}`;
      });
      return await Promise.all(uploads);
    });
    expect(decided).toBe(races);
  });
});
