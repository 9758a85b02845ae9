import { describe, expect, it } from 'vitest';

import { fakeClock, InfrastructureError } from '../../core/index.ts';
import { chunksOf } from '../conformance/support.ts';
import { type MemoryStorageDriver, memoryStorage } from '../memory.ts';
import type { FileStorage } from '../storage.ts';
import { type QuarantinedOptions, quarantined } from './quarantined.ts';

const urls = {
  baseUrl: 'https://files.example.com/served',
  secret: 'a secret of at least thirty-two characters',
};
const text = { expiresIn: '5m', maxSize: 100, contentType: 'text/plain' } as const;

const scan: QuarantinedOptions['scan'] = async (file) =>
  (await file.text()).includes('virus') ? { infected: 'EICAR' } : 'clean';

function keysOf(inner: FileStorage<MemoryStorageDriver>): string[] {
  // Without the ids of their slots.
  return [...inner.native.keys()].map((key) => key.replace(/\/[0-9a-z]{13}[cu]$/, '')).toSorted();
}

async function send(
  inner: FileStorage<MemoryStorageDriver>,
  url: string,
  body: string,
): Promise<void> {
  const headers = { 'content-type': 'text/plain' };
  const { status } = await inner.handler()(new Request(url, { method: 'PUT', headers, body }));
  expect(status).toBe(201);
}

describe('quarantined › put', () => {
  it('releases what is clean, and puts aside what is infected, which is never served', async () => {
    const inner = memoryStorage({ urls });
    const files = quarantined(inner, { scan });
    await files.put('a', 'harmless');
    await expect(files.put('a', 'a virus')).rejects.toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
      details: { state: 'infected', reason: 'EICAR' },
    });
    expect(await (await files.get('a')).text()).toBe('harmless');
    await expect(files.put('b', chunksOf(Buffer.from('a virus'), 2))).rejects.toMatchObject({
      details: { state: 'infected' },
    });
    expect(keysOf(inner)).toEqual(['clean/a', 'dirty/a', 'dirty/b']);
    await expect(files.get('b')).rejects.toMatchObject({
      code: 'not-found',
      details: { state: 'infected' },
    });
    await expect(files.copy('b', 'c')).rejects.toMatchObject({ code: 'not-found' });
    await expect(files.move('b', 'c')).rejects.toMatchObject({ code: 'not-found' });
    expect(await files.exists('b')).toBe(false);
    expect((await files.list()).files.map(({ key }) => key)).toEqual(['a']);
    const url = await files.signedUrl('b', { expiresIn: '5m' });
    expect((await files.handler()(new Request(url))).status).toBe(404);
  });

  it('leaves what the scanner failed on pending, for the next scan', async () => {
    const inner = memoryStorage();
    let isDown = true;
    const files = quarantined(inner, {
      scan: async () => {
        if (isDown) throw new Error('clamd does not answer');
        return 'clean';
      },
    });
    await expect(files.put('a', 'x')).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'unknown',
      message: expect.stringContaining('clamd does not answer') as unknown,
    });
    await expect(files.get('a')).rejects.toMatchObject({ details: { state: 'pending' } });
    expect(await files.scanPending()).toMatchObject({
      clean: [],
      failed: [{ key: 'a', error: { code: 'unavailable' } }],
    });
    isDown = false;
    expect(await files.scanPending()).toEqual({ clean: ['a'], infected: [], failed: [] });
    expect(keysOf(inner)).toEqual(['clean/a']);
  });

  it('keeps what a scanner failed on for good', async () => {
    const refused = {
      code: 'permission-denied',
      component: 'http',
      message: 'no licence',
    } as const;
    const files = quarantined(memoryStorage(), {
      scan: async () => {
        throw new InfrastructureError(refused);
      },
    });
    await expect(files.put('a', 'x')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(files.get('a')).rejects.toMatchObject({ details: { state: 'pending' } });
  });

  it('takes anything but a verdict for a failure', async () => {
    for (const verdict of [undefined, true, 'infected', {}, { infected: true }]) {
      const files = quarantined(memoryStorage(), { scan: async () => verdict as never });
      await expect(files.put('a', 'x')).rejects.toMatchObject({ code: 'unavailable' });
      expect(await files.exists('a')).toBe(false);
    }
  });

  it('with a condition is released under it, or leaves nothing', async () => {
    const inner = memoryStorage();
    let during: () => Promise<unknown> = async () => undefined;
    const files = quarantined(inner, {
      scan: async (file) => {
        await during();
        return await scan(file);
      },
    });
    const { etag } = await files.put('a', 'one');
    during = async () => await inner.put('clean/a', 'in between');
    await expect(files.put('a', 'two', { ifMatch: etag })).rejects.toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
    });
    during = async () => await inner.put('clean/b', 'in between');
    await expect(files.put('b', 'two', { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'already-exists',
    });
    expect(keysOf(inner)).toEqual(['clean/a', 'clean/b']);
  });
});

describe('quarantined › deferred', () => {
  it('put and completed uploads are pending until a scan, and the version before is served', async () => {
    const inner = memoryStorage();
    const files = quarantined(inner, { scan, deferred: true });
    expect((await files.put('a', 'one', { metadata: { x: '1' } })).key).toBe('a');
    await expect(files.get('a')).rejects.toMatchObject({ details: { state: 'pending' } });
    expect((await files.scan('a')).clean).toEqual(['a']);
    expect((await files.head('a')).metadata).toEqual({ x: '1' });
    const upload = await files.createUpload('a');
    await upload.putPart(1, 'two');
    await upload.complete();
    expect(await (await files.get('a')).text()).toBe('one');
    await files.scan('a');
    expect(await (await files.get('a')).text()).toBe('two');
    await files.put('a', 'a virus');
    expect(await files.scanPending()).toEqual({
      clean: [],
      infected: [{ key: 'a', reason: 'EICAR' }],
      failed: [],
    });
    expect(await (await files.get('a')).text()).toBe('two');
    await expect(files.put('a', 'x', { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'unimplemented',
    });
  });

  it('a scan of one key leaves those below and beside it', async () => {
    const files = quarantined(memoryStorage(), { scan, deferred: true });
    for (const key of ['a', 'a/b', 'ab']) await files.put(key, 'x');
    expect((await files.scan('a')).clean).toEqual(['a']);
    expect((await files.scanPending({ prefix: 'a/' })).clean).toEqual(['a/b']);
  });

  it('what is deleted does not come back by a later scan', async () => {
    const inner = memoryStorage();
    const files = quarantined(inner, { scan, deferred: true });
    for (const key of ['a', 'b', 'c', 'd/1', 'keep']) await files.put(key, 'x');
    await files.delete('a');
    await files.deleteMany(['b', 'c']);
    expect(await files.deletePrefix('d/')).toBe(0);
    await expect(files.deletePrefix('')).rejects.toMatchObject({ code: 'invalid-argument' });
    expect((await files.scanPending()).clean).toEqual(['keep']);
  });
});

describe('quarantined › what could slip through', () => {
  it('content that is sent again to the same URL while it is scanned is scanned by itself', async () => {
    const inner = memoryStorage({ urls });
    let onScan: () => Promise<void> = async () => undefined;
    const files = quarantined(inner, {
      scan: async (file) => {
        const verdict = await scan(file);
        await onScan();
        return verdict;
      },
    });
    const { url } = await files.signedUpload('a', text);
    await send(inner, url, 'harmless');
    onScan = async () => {
      onScan = async () => undefined;
      await send(inner, url, 'a virus');
    };
    expect((await files.scan('a')).clean).toEqual(['a']);
    expect(await (await files.get('a')).text()).toBe('harmless');
    expect((await files.scan('a')).infected).toEqual([{ key: 'a', reason: 'EICAR' }]);
    expect(await (await files.get('a')).text()).toBe('harmless');
  });

  it('scans at once from two processes release each version once, and none is lost', async () => {
    const inner = memoryStorage({ urls });
    const first = quarantined(inner, { scan, deferred: true });
    const second = quarantined(inner, { scan, deferred: true });
    for (let index = 0; index < 20; index += 1)
      await first.put(`k${index}`, index % 5 === 0 ? 'a virus' : 'harmless');
    const { url } = await first.signedUpload('sent', text);
    await send(inner, url, 'harmless');
    const reports = await Promise.all([
      first.scanPending(),
      second.scanPending(),
      first.scan('sent'),
    ]);
    expect(reports.flatMap(({ failed }) => failed)).toEqual([]);
    const clean = reports.flatMap((report) => report.clean);
    expect(clean.length).toBe(new Set(clean).size);
    await first.scanPending();
    expect((await first.list()).files.length).toBe(17);
    expect(keysOf(inner).filter((key) => /^(?:held|inbox)/.test(key))).toEqual([]);
    expect(keysOf(inner).filter((key) => key.startsWith('dirty/')).length).toBe(4);
  });

  it('an older version whose scan ends later does not replace the newer one', async () => {
    const clock = fakeClock();
    const release = Promise.withResolvers<undefined>();
    const files = quarantined(memoryStorage(), {
      clock,
      scan: async (file) => {
        if ((await file.text()) === 'slow') await release.promise;
        return 'clean';
      },
    });
    const slow = files.put('a', 'slow');
    await clock.advance(1);
    await files.put('a', 'newer');
    release.resolve(undefined);
    await slow;
    expect(await (await files.get('a')).text()).toBe('newer');
  });

  it('a conditional version that a crash left is given up after a day, and never released', async () => {
    const clock = fakeClock();
    const inner = memoryStorage({ clock });
    const never = quarantined(inner, {
      clock,
      scan: async () => await new Promise(() => undefined),
    });
    void never.put('a', 'x', { ifNoneMatch: '*' });
    await clock.advance(1000);
    const files = quarantined(inner, { clock, scan });
    await files.scanPending();
    expect(keysOf(inner)).toEqual(['held/a']);
    await clock.advance(25 * 3600 * 1000);
    await files.scanPending();
    expect(keysOf(inner)).toEqual([]);
  });

  it('an upload of another storage’s token, or with another slot, is refused', async () => {
    const inner = memoryStorage();
    const files = quarantined(inner, { scan });
    const { token } = await files.createUpload('a');
    const facts = JSON.parse(Buffer.from(token, 'base64url').toString()) as { state: object };
    for (const [change, code] of [
      [{ id: 'x' }, 'invalid-argument'],
      [{ ifNoneMatch: 'etag' }, 'invalid-argument'],
      [{ token: (await inner.createUpload('clean/a')).token }, 'not-found'],
    ] as const) {
      const state = { ...facts.state, ...change };
      const changed = Buffer.from(JSON.stringify({ ...facts, state })).toString('base64url');
      await expect(files.resumeUpload(changed).parts()).rejects.toMatchObject({ code });
    }
  });
});
