import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { service } from '../../../test/services/services.ts';
import { EmbeddedGazette } from '../testing/embedded.ts';
import { GazetteOnEngines, missingEngine } from '../testing/engines.ts';
import type { RunningGazette } from '../testing/running-gazette.ts';

const installed = await service('chromium');

const editions = [
  { edition: 'on embedded adapters', missing: undefined, Gazette: EmbeddedGazette },
  {
    edition: 'on real engines, editors and readers on processes of their own',
    missing: await missingEngine(),
    Gazette: GazetteOnEngines,
  },
] as const;

for (const { edition, missing, Gazette } of editions) {
  describe.skipIf(installed.missing ?? missing)(`gazette › in a browser › ${edition}`, () => {
    inABrowser(Gazette);
  });
}

function inABrowser(Gazette: (typeof editions)[number]['Gazette']): void {
  let browser: Browser;
  let articles: string;
  let gazette: RunningGazette;

  beforeAll(async () => {
    articles = await mkdtemp(path.join(os.tmpdir(), 'gazette-browser-'));
    await mkdir(path.join(articles, 'decisions'), { recursive: true });
    for (let index = 0; index < 6; index += 1) {
      await writeFile(
        path.join(articles, `story-${index}.md`),
        `# Story ${index}\n\nWhat *happened* in ${index}.\n\n## How\n\nLong ago.\n`,
      );
    }
    const table = `| ${'wide | '.repeat(20)}\n| ${'- | '.repeat(20)}\n| ${'cell | '.repeat(20)}`;
    await writeFile(
      path.join(articles, 'decisions', 'hostile.md'),
      `# Hostile\n\nIt tries.\n\n<script>document.title = 'owned'</script><img src=x onerror="document.title='owned'">\n\n${table}\n`,
    );
    gazette = await Gazette.start(articles);
    browser = await chromium.launch({
      executablePath: installed.address,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });

  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });

  afterAll(async () => {
    await browser?.close();
    await gazette?.[Symbol.asyncDispose]();
    await rm(articles, { recursive: true });
  });

  async function open(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({
      baseURL: gazette.urls[address.startsWith('/desk') ? 1 : 0],
      javaScriptEnabled: false,
      ...options,
    });
    const page = await context.newPage();
    await page.goto(address);
    return page;
  }

  /** The console's complaints (a blocked script, a missing file) while a page loads. */
  async function complaints(address: string): Promise<string[]> {
    const context = await browser.newContext({ baseURL: gazette.urls[0] });
    const page = await context.newPage();
    const found: string[] = [];
    page.on('console', (message) => found.push(message.text()));
    page.on('pageerror', (error) => found.push(error.message));
    page.on('requestfailed', (request) => found.push(request.url()));
    await page.goto(address, { waitUntil: 'networkidle' });
    return found;
  }

  test('a reader comes from the front page to a story and back, without JavaScript', async () => {
    const page = await open('/');
    await page.getByRole('link', { name: 'Story 3', exact: true }).click();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Story 3');
    expect(await page.getByRole('heading', { level: 2, name: 'How' }).isVisible()).toBe(true);
    await page.getByRole('link', { name: 'The Underpin Gazette' }).click();
    expect(new URL(page.url()).pathname).toBe('/');
  });

  test('every picture on the front page is shown', async () => {
    const page = await open('/', { javaScriptEnabled: true });
    const pictures = page.locator('main img');
    expect(await pictures.count()).toBe(7);
    for (const picture of await pictures.all()) {
      await picture.scrollIntoViewIfNeeded();
      await expect
        .poll(() =>
          picture.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth),
        )
        .toBeGreaterThan(0);
    }
  });

  test('no page makes the browser complain', async () => {
    for (const address of [
      '/',
      '/articles/story-1',
      '/articles/decisions-hostile',
      '/desk',
      '/desk/new',
      '/desk/inbox',
      '/desk/jobs',
    ]) {
      expect([address, await complaints(address)]).toEqual([address, []]);
    }
  });

  test('a hostile article runs nothing', async () => {
    const page = await open('/articles/decisions-hostile', { javaScriptEnabled: true });
    expect(await page.title()).toBe('Hostile · The Underpin Gazette');
  });

  test.each([360, 768, 1280])('at %i pixels no page is wider than the screen', async (width) => {
    for (const address of ['/', '/articles/decisions-hostile', '/desk', '/desk/new']) {
      const page = await open(address, {
        javaScriptEnabled: true,
        viewport: { width, height: 800 },
      });
      const overflow = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect([address, overflow]).toEqual([address, 0]);
    }
  });

  test.each(['light', 'dark'] as const)(
    'in the %s, text stands out from its ground',
    async (colorScheme) => {
      const page = await open('/', { javaScriptEnabled: true, colorScheme });
      const [ink, paper] = await page.evaluate<[string, string]>(
        '[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]',
      );
      expect(contrast(ink, paper)).toBeGreaterThan(7);
    },
  );

  test('with the keyboard alone, the first stop leads past the head of the page', async () => {
    const page = await open('/');
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').textContent()).toBe('Skip to the text');
    expect(await page.locator(':focus').isVisible()).toBe(true);
  });

  test('an editor writes, attaches and publishes; the reader who subscribed gets the mail, and can end it', async () => {
    const reader = await open('/');
    await reader.getByLabel('Your e-mail address').fill('reader@readers.example');
    await reader.getByRole('button', { name: 'Subscribe' }).click();
    expect(await reader.getByRole('heading', { level: 1 }).textContent()).toBe('Welcome');

    const editor = await open('/desk');
    await editor.getByRole('link', { name: 'Write an article' }).click();
    await editor.getByLabel('Title').fill('The bridge stands');
    await editor.getByLabel('Section', { exact: true }).fill('Works');
    await editor.getByLabel('Summary').fill('It was opened today.');
    await editor.getByLabel('Text', { exact: true }).fill('All came.\n\n**Everybody.**');
    await editor.getByLabel('What it shows').fill('The bridge at noon');
    const photo = await sharp({
      create: { width: 1500, height: 1000, channels: 3, background: '#375a7f' },
    })
      .jpeg()
      .toBuffer();
    await editor
      .getByLabel('Attach a picture')
      .setInputFiles({ name: 'bridge.jpg', mimeType: 'image/jpeg', buffer: photo });
    await editor.getByRole('button', { name: 'Publish' }).click();
    expect(await editor.getByRole('status').textContent()).toContain('Published');

    // The desk reloads by itself until the presses rest.
    await editor.goto('/desk');
    await expect
      .poll(async () => await editor.locator('progress').count(), { timeout: 60_000 })
      .toBe(0);

    await reader.goto('/');
    const story = reader.getByRole('article').filter({ hasText: 'The bridge stands' });
    expect(
      await story
        .getByRole('img', { name: 'The bridge at noon', includeHidden: true })
        .getAttribute('srcset'),
    ).toContain('1280.webp');

    const letters = (await gazette.mails()).filter(
      ({ subject }) => subject === 'The bridge stands',
    );
    expect(letters.map(({ to }) => to[0]?.address)).toEqual(['reader@readers.example']);
    const [, unsubscribe] = /href="[^"]*(\/unsubscribe\/[^"]+)"/.exec(letters[0]?.html ?? '') ?? [];
    await reader.goto(unsubscribe ?? '');
    await reader.getByRole('button', { name: 'Unsubscribe' }).click();
    expect(await reader.getByRole('heading', { level: 1 }).textContent()).toBe('Good-bye');
  });

  test('a form with a mistake keeps what was typed, and says what is wrong', async () => {
    const page = await open('/desk/new');
    await page.getByLabel('Title').fill('Half a story');
    await page.getByLabel('Section', { exact: true }).fill('!!!');
    await page.getByRole('button', { name: 'Publish' }).click();
    expect(await page.getByLabel('Title').inputValue()).toBe('Half a story');
    expect(await page.locator('#section-problem').textContent()).toContain('needs a section');
  });
}

/** The contrast ratio of WCAG 2.2 between two colours, as `getComputedStyle` gives them. */
function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).map((part) => {
    const value = Number(part) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
