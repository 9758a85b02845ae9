import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';

import { slugify } from '../domain/slug.ts';
import { type EngineName, GazetteOnEngines, missingEngine } from '../testing/engines.ts';
import { answerWithinMs, readFor, repeatFor, type Statuses } from '../testing/load.ts';

const missing = await missingEngine();

const subscribers = ['ada@readers.example', 'bob@readers.example'];

/** For so long an engine is away, while the others are under load. */
const outageMs = 10_000;

/** One outage, as readers and editors saw it. */
interface Outage {
  readonly front: Statuses;
  readonly article: Statuses;
  readonly picture: Statuses;
  readonly style: Statuses;
  /** The titles whose publication was confirmed. */
  readonly accepted: readonly string[];
  readonly refused: Statuses;
}

describe.skipIf(missing)('gazette › two web processes and two workers on real engines', () => {
  let folder: string;
  let gazette: GazetteOnEngines;
  let picture: string;
  let stylesheet: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-articles-'));
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'one.md'), '# One\n\nThe first.\n\nText.');
    gazette = await GazetteOnEngines.start(folder);
    for (const [index, email] of subscribers.entries()) await post(index, '/subscribe', { email });
    await settled();
    const page = await (await get(0, '/articles/one')).text();
    picture = /src="(\/pictures\/[^"]+)"/.exec(page)?.[1] ?? '';
    stylesheet = /href="([^"]+\.css)"/.exec(page)?.[1] ?? '';
  });

  afterAll(async () => {
    await gazette?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function get(web: number, address: string): Promise<Response> {
    const signal = AbortSignal.timeout(answerWithinMs);
    return await fetch(`${gazette.urls[web % 2]}${address}`, { signal });
  }

  async function post(
    web: number,
    address: string,
    form: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const origin = gazette.urls[web % 2] ?? '';
    return await fetch(`${origin}${address}`, {
      method: 'POST',
      body: new URLSearchParams(form),
      headers: { origin },
      redirect: 'manual',
      signal: AbortSignal.timeout(60_000),
    });
  }

  /** Resolves once every process is well again and no job is left to do. */
  async function settled(): Promise<void> {
    await vi.waitFor(
      async () => {
        const addresses = ['/health/ready', '/', '/articles/one', '/desk'];
        const pages = addresses.flatMap((address) => [0, 1].map((web) => get(web, address)));
        for (const page of await Promise.all(pages)) {
          const text = await page.text();
          expect([page.url, page.status, text]).toEqual([page.url, 200, expect.any(String)]);
          // The desk asks for itself again as long as any job waits or runs.
          expect(text).not.toContain('http-equiv="refresh"');
        }
      },
      { timeout: 120_000, interval: 200 },
    );
  }

  async function publish(web: number, title: string): Promise<number> {
    const response = await post(web, '/desk/articles', {
      title,
      summary: 'It happened.',
      section: 'News',
      body: 'Everybody came.',
      version: '0',
      pictureDescription: '',
      action: 'publish',
    });
    return response.headers.get('location')?.includes('done=publish') ? 303 : response.status;
  }

  /** Publishes and reads on both web processes until the time is over. */
  async function load(name: string, durationMs: number): Promise<Outage> {
    const accepted: string[] = [];
    const refused: Statuses = {};
    const [seen] = await Promise.all([
      readFor(durationMs, gazette.urls, {
        front: '/',
        article: '/articles/one',
        picture,
        style: stylesheet,
      }),
      repeatFor(durationMs, async (round) => {
        const title = `During ${name} ${round}`;
        const status = await publish(round, title);
        if (status === 303) accepted.push(title);
        else refused[status] = (refused[status] ?? 0) + 1;
      }),
    ]);
    return { ...seen, accepted, refused };
  }

  /** Whatever was accepted is read on both web processes, has its pictures, and was mailed to everybody. */
  async function expectPublished(titles: readonly string[]): Promise<void> {
    for (const [index, title] of titles.entries()) {
      const response = await get(index, `/articles/${slugify(title)}`);
      const page = await response.text();
      expect([title, response.status]).toEqual([title, 200]);
      const thumbnails = [...page.matchAll(/\/pictures\/[0-9a-f]{64}\/\d+\.webp/g)];
      expect(new Set(thumbnails.map(([url]) => url)).size).toBe(2);
      for (const [url] of thumbnails) expect((await get(index, url)).status).toBe(200);
    }
    const mailed = new Set(
      (await gazette.mails()).map(({ to, subject }) => `${subject} to ${to[0]?.address}`),
    );
    const expected = titles.flatMap((title) => subscribers.map((to) => `${title} to ${to}`));
    expect(expected.filter((mail) => !mailed.has(mail))).toEqual([]);
  }

  async function killFor(engine: EngineName, durationMs: number): Promise<Outage> {
    await gazette.engines[engine].kill();
    const outage = await load(engine, durationMs);
    await gazette.engines[engine].restart();
    return outage;
  }

  const only = (...statuses: number[]): unknown =>
    expect.toSatisfy(
      (seen: Statuses) =>
        Object.keys(seen).length > 0 &&
        Object.keys(seen).every((status) => statuses.includes(Number(status))),
      `only ${statuses.join(', ')}`,
    );

  test('what one process publishes, the other shows, and everybody is mailed', async () => {
    const { accepted, ...seen } = await load('a quiet day', 2000);
    expect(seen).toEqual({
      front: only(200),
      article: only(200),
      picture: only(200),
      style: only(200),
      refused: {},
    });
    expect(accepted.length).toBeGreaterThan(0);
    await settled();
    await expectPublished(accepted);
    const newest = accepted.at(-1) ?? '';
    for (const web of [0, 1]) expect(await (await get(web, '/')).text()).toContain(newest);
  });

  // What each engine is needed for; everything else goes on without it.
  const needs: Readonly<Record<EngineName, { readonly [Part in keyof Outage]?: unknown }>> = {
    postgres: { article: only(503), refused: only(503), accepted: [] },
    redis: {},
    s3: { picture: only(503), refused: only(503), accepted: [] },
    smtp: {},
  };

  test.each(Object.entries(needs) as [EngineName, (typeof needs)[EngineName]][])(
    '%s is killed for ten seconds under load › who needs it is told so in time, the others go on, everything recovers, and no accepted publication is lost',
    async (engine, need) => {
      const before = await load(`the time before ${engine} went`, 1000);
      await settled();
      // What is cached is shown without the database.
      expect((await get(0, '/')).status).toBe(200);
      const outage = await killFor(engine, outageMs);
      expect(outage).toEqual({
        front: only(200),
        article: only(200),
        picture: only(200),
        style: only(200),
        refused: {},
        accepted: expect.toSatisfy((titles: readonly string[]) => titles.length > 0),
        ...need,
      });
      await settled();
      const after = await load(`the time after ${engine} came`, 1000);
      expect(after.refused).toEqual({});
      await settled();
      await expectPublished([...before.accepted, ...outage.accepted, ...after.accepted]);
    },
  );

  test('all of them end in order when asked', async () => {
    expect(await gazette.stop()).toEqual([0, 0, 0, 0]);
  });
});
