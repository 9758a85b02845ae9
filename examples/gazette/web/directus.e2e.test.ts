import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  type DirectusAdministrator,
  directusAdministrator,
  makeUser,
} from '../../../test/services/collections.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { GazetteOnEngines, missingEngine } from '../testing/engines.ts';
import { GazetteProcess } from '../testing/gazette-process.ts';
import { readFor } from '../testing/load.ts';

const { missing = await missingEngine() } = await service('directus');
/** For so long Directus is away. */
const outageMs = 10_000;

const setUp = path.join(import.meta.dirname, '../infrastructure/directus/set-up.ts');

describe.skipIf(missing)(
  'articles from Directus, all else on real engines, by environment alone',
  () => {
    let folder: string;
    let server: PrivateServer;
    let administrator: DirectusAdministrator;
    let gazette: GazetteOnEngines;
    let url: string;

    async function runSetUp(): Promise<string> {
      const { origin, username, password } = new URL(server.url);
      const child = spawn(process.execPath, ['--conditions=underpin-source', setUp], {
        env: {
          PATH: process.env['PATH'],
          DIRECTUS_URL: origin,
          DIRECTUS_EMAIL: decodeURIComponent(username),
          DIRECTUS_PASSWORD: decodeURIComponent(password),
        },
      });
      const said = Promise.all([text(child.stdout), text(child.stderr)]);
      const [code] = (await once(child, 'close')) as [number];
      expect({ code, complaints: (await said)[1] }).toEqual({ code: 0, complaints: '' });
      return (await said)[0];
    }

    async function write(article: Readonly<Record<string, string>>): Promise<string> {
      const { id } = (await administrator.request('POST', '/items/articles', {
        section: 'Works',
        body: 'The *text*.',
        ...article,
      })) as { id: string };
      return id;
    }

    async function page(at: string): Promise<{ status: number; html: string }> {
      const response = await fetch(url + at, { redirect: 'manual' });
      return { status: response.status, html: await response.text() };
    }

    /** Asks until the page is as it must become. */
    async function until(at: string, isIt: (page: { status: number; html: string }) => boolean) {
      for (;;) {
        const last = await page(at);
        if (isIt(last)) return last;
        await sleep(200);
      }
    }

    beforeAll(async () => {
      folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-directus-'));
      server = await startServer('directus');
      administrator = await directusAdministrator(server.url);
      await runSetUp();
      const reader = await makeUser(administrator, { articles: ['read'] });
      for (const [index, title] of ['A bridge', 'A tunnel'].entries())
        await write({
          title,
          slug: title.toLowerCase().replace(' ', '-'),
          summary: `About ${title.toLowerCase()}.`,
          status: 'published',
          date_published: `2026-01-0${index + 1}T00:00:00.000Z`,
        });
      await write({ title: 'A rumour', slug: 'a-rumour', section: 'Gossip' });
      gazette = await GazetteOnEngines.start(folder, {
        DIRECTUS_URL: administrator.url,
        DIRECTUS_TOKEN: reader.token,
      });
      [url] = gazette.urls;
    });

    afterAll(async () => {
      await gazette?.[Symbol.asyncDispose]();
      await server?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    test('to set it up again changes nothing', async () => {
      expect(await runSetUp()).toContain('is there');
    });

    test('the front page has what is published, the newest first, and no draft', async () => {
      const { status, html } = await page('/');
      expect(status).toBe(200);
      expect(html.indexOf('A tunnel')).toBeGreaterThan(0);
      expect(html.indexOf('A bridge')).toBeGreaterThan(html.indexOf('A tunnel'));
      expect(html).not.toContain('A rumour');
      expect(html).not.toContain('Gossip');
    });

    test('articles and sections have their pages, and drafts have none', async () => {
      expect((await page('/articles/a-bridge')).html).toContain('The <em>text</em>.');
      expect((await page('/sections/works')).html).toContain('A tunnel');
      expect((await page('/articles/a-rumour')).status).toBe(404);
      expect((await page('/sections/gossip')).status).toBe(404);
    });

    // Before the one that changes articles: each process sees a change in its own time and drops the pages for it, also those
    // that were rendered since.
    test('Directus is killed for ten seconds under load › pages say so or come from the cache, the others go on, and all recover by themselves', async () => {
      const pages = { front: '/', article: '/articles/a-bridge', probe: '/health/live' };
      for (const at of gazette.urls) await (await fetch(at)).text();
      await server.kill();
      const [seen, subscribed] = await Promise.all([
        readFor(outageMs, gazette.urls, pages),
        fetch(`${url}/subscribe`, {
          method: 'POST',
          body: new URLSearchParams({ email: 'ada@readers.example' }),
          headers: { origin: url },
          redirect: 'manual',
        }),
      ]);
      expect(Object.entries(seen).map(([name, statuses]) => [name, Object.keys(statuses)])).toEqual(
        [
          ['front', ['200']],
          ['article', ['503']],
          ['probe', ['200']],
        ],
      );
      expect(subscribed.status).toBe(303);
      await server.restart();
      await until('/articles/a-bridge', ({ status }) => status === 200);
    });

    test('what is edited, published and deleted in Directus is so on the pages', async () => {
      const id = await write({ title: 'A well', slug: 'a-well' });
      expect((await page('/articles/a-well')).status).toBe(404);
      await administrator.request('PATCH', `/items/articles/${id}`, {
        status: 'published',
        date_published: '2026-02-01T00:00:00.000Z',
      });
      await until('/', ({ html }) => html.includes('A well'));
      expect((await page('/articles/a-well')).html).toContain('A well');
      await administrator.request('PATCH', `/items/articles/${id}`, { title: 'A deep well' });
      await until('/articles/a-well', ({ html }) => html.includes('A deep well'));
      await until('/', ({ html }) => html.includes('A deep well'));
      await administrator.request('DELETE', `/items/articles/${id}`);
      expect((await page('/articles/a-well')).status).toBe(404);
      await until('/', ({ html }) => !html.includes('A deep well'));
    });

    test('the desk shows drafts, and leaves the writing to Directus', async () => {
      expect((await page('/desk')).html).toContain('A rumour');
      expect((await page('/desk/new')).html).toContain(`href="${administrator.url}/"`);
      const sent = await fetch(`${url}/desk/articles`, {
        method: 'POST',
        headers: { origin: url },
        body: new URLSearchParams({
          title: 'No',
          section: 'No',
          summary: '',
          body: '',
          version: '0',
        }),
      });
      expect([sent.status, (await sent.text()).includes('Directus')]).toEqual([409, true]);
    });

    test('a collection that is not there ends the start with one line that says so', async () => {
      const stranger = await makeUser(administrator);
      const { code, stderr } = await new GazetteProcess({
        DATA_DIR: path.join(folder, 'other'),
        DIRECTUS_URL: administrator.url,
        DIRECTUS_TOKEN: stranger.token,
      }).exit;
      expect(code).toBe(1);
      expect(stderr).toMatch(/^gazette: the collection "articles" cannot be read [^\n]+\n$/);
      expect(stderr).not.toContain(stranger.token);
    });
  },
);
