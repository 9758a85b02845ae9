import { watch } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import fc from 'fast-check';
import sharp from 'sharp';
import { infrastructureFromEnv } from 'underpin';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { thumbnailKey, thumbnailWidths } from '../application/pictures.ts';
import { compose, type Composition } from '../infrastructure/composition.ts';
import type { Tables } from '../infrastructure/database/tables.ts';
import { GazetteProcess } from '../testing/gazette-process.ts';

/** Each article leads to two thumbnails, a newsletter and a notice: 200 jobs, which lead to a mail for each subscriber. */
const articleCount = 50;
const subscribers = ['ada', 'bob', 'cleo', 'dan'].map((name) => `${name}@example.org`);
const thumbnailCount = articleCount * thumbnailWidths.length;
const mailCount = articleCount * subscribers.length;

/** After so many thumbnails, and then after so many mails, the process is killed: at the same points in every run. */
const seed = 20_260_105;
const thumbnailKills = points(2, thumbnailCount);
const mailKills = points(5, mailCount);

function points(count: number, end: number): number[] {
  return fc
    .sample(fc.integer({ min: 1, max: end - 20 }), { seed, numRuns: count })
    .toSorted((a, b) => a - b);
}

let folder: string;
let environment: { DATA_DIR: string; ARTICLES_DIR: string };

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-crash-'));
  environment = {
    DATA_DIR: path.join(folder, 'data'),
    ARTICLES_DIR: path.join(folder, 'articles'),
  };
  await mkdir(environment.ARTICLES_DIR);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function namesIn(...segments: string[]): Promise<string[]> {
  return await readdir(path.join(environment.DATA_DIR, ...segments), { recursive: true }).catch(
    () => [],
  );
}

/** How many articles have their cover, which is the first thing that is written of each. */
async function covers(): Promise<number> {
  return (await namesIn('files', 'pictures')).filter((name) => name.endsWith('original')).length;
}

async function thumbnails(): Promise<number> {
  return (await namesIn('files', 'pictures')).filter((name) => name.endsWith('.webp')).length;
}

async function mails(): Promise<number> {
  return (await namesIn('mail')).filter((name) => isMail(name)).length;
}

/** A mail is a folder, which appears whole under this name. */
function isMail(name: string): boolean {
  return /^[0-9a-f]{32}$/.test(name);
}

/** Starts the Gazette, and kills it once there is so much of something. Gives how much there was in the end. */
async function killAfter(amount: number, measure: () => Promise<number>): Promise<number> {
  const gazette = new GazetteProcess(environment);
  while ((await measure()) < amount) await wait(5);
  // A mail that was delivered and whose job does not know it yet is the one that could go out twice.
  if (measure === mails) await nextMail(() => void gazette.kill());
  const { signal } = await gazette.kill();
  expect(signal).toBe('SIGKILL');
  return await measure();
}

async function nextMail(callback: () => void): Promise<void> {
  await new Promise<void>((resolve) => {
    const watcher = watch(path.join(environment.DATA_DIR, 'mail'), (_, name) => {
      if (name === null || !isMail(name)) return;
      callback();
      watcher.close();
      resolve();
    });
  });
}

test('gazette › kill -9 at several points while 200 publish jobs run › every job completes, no thumbnail is missing, no subscriber is mailed twice', async () => {
  const first = new GazetteProcess(environment);
  const url = await first.url();
  for (const email of subscribers) {
    const response = await fetch(`${url}/subscribe`, {
      method: 'POST',
      body: new URLSearchParams({ email }),
      headers: { origin: url },
    });
    expect(response.ok).toBe(true);
  }
  await first.stop();
  for (let index = 0; index < articleCount; index += 1) {
    await writeFile(
      path.join(environment.ARTICLES_DIR, `story-${index}.md`),
      `# Story ${index}\n\nIt happened.\n\nMore of it.`,
    );
  }

  // Once while the articles are still being published, then while their jobs run.
  expect(await killAfter(articleCount / 2, covers)).toBeLessThan(articleCount);
  for (const amount of thumbnailKills)
    expect(await killAfter(amount, thumbnails)).toBeLessThan(thumbnailCount);
  for (const amount of mailKills) expect(await killAfter(amount, mails)).toBeLessThan(mailCount);

  const last = new GazetteProcess(environment);
  const desk = `${await last.url()}/desk`;
  // The desk asks for itself again as long as any job waits or runs.
  while ((await (await fetch(desk)).text()).includes('http-equiv="refresh"')) await wait(100);
  expect(await last.stop()).toMatchObject({ code: 0, stderr: '' });

  const infrastructure = infrastructureFromEnv<Tables, Composition>((standard, { env }) =>
    compose(standard, env, () => url),
  );
  await using gazette = await infrastructure.start({ env: environment });
  const { queue, files, inbox, newsroom } = gazette;
  expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, dead: 0 });

  const articles = await newsroom.articles.find({ status: 'published' });
  expect(articles.map(({ title }) => title).toSorted()).toEqual(
    Array.from({ length: articleCount }, (_, index) => `Story ${index}`).toSorted(),
  );
  for (const { picture } of articles) {
    for (const width of thumbnailWidths) {
      const bytes = await (await files.get(thumbnailKey(picture?.id ?? '', width))).bytes();
      // Decodes every pixel: a file that is cut off does not pass.
      await expect(sharp(bytes, { failOn: 'warning' }).stats()).resolves.toBeDefined();
    }
  }

  const mailed: string[] = [];
  for await (const { to, subject } of inbox?.messages() ?? [])
    mailed.push(`${subject} to ${to[0]?.address}`);
  const expected = articles.flatMap(({ title }) =>
    subscribers.map((address) => `${title} to ${address}`),
  );
  expect(mailed.toSorted()).toEqual(expected.toSorted());
});
