import { describe, expect, it } from 'vitest';

import { fakeClock } from '../core/index.ts';
import type { DriverFile } from './driver.ts';
import { memoryStorage, MemoryStorageDriver } from './memory.ts';
import { FileStorage } from './storage.ts';

const urls = {
  baseUrl: 'https://example.com/files',
  secret: 'a secret of at least thirty-two characters',
};
const text = 'The quick brown fox jumps over the lazy dog';

async function serving() {
  const clock = fakeClock();
  const files = memoryStorage({ urls, clock });
  const handler = files.handler();
  const { etag } = await files.put('docs/fox & co.txt', text, { cacheControl: 'max-age=60' });
  const url = await files.signedUrl('docs/fox & co.txt', { expiresIn: '5m' });
  const get = async (headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
    await handler(new Request(url, { method, headers }));
  return { clock, files, handler, etag, url, get };
}

describe('storage handler › GET', () => {
  it('serves the file with its type, etag and cache control, and nothing may run in it', async () => {
    const { get, etag } = await serving();
    const response = await get();
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(text);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(text.length),
      'cache-control': 'max-age=60',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      etag: `"${etag}"`,
    });
    expect(response.headers.get('content-security-policy')).toContain('sandbox');
  });

  it('HEAD has the headers and no body', async () => {
    const { get } = await serving();
    const response = await get({}, 'HEAD');
    expect([
      response.status,
      response.headers.get('content-length'),
      await response.text(),
    ]).toEqual([200, String(text.length), '']);
  });

  it.for([
    ['bytes=0-2', 'The', '0-2'],
    ['bytes=4-8', 'quick', '4-8'],
    ['bytes=40-', 'dog', '40-42'],
    ['bytes=-3', 'dog', '40-42'],
    ['bytes=40-999', 'dog', '40-42'],
  ])('Range %s gives exactly those bytes', async ([range = '', body, extent]) => {
    const { get } = await serving();
    const response = await get({ range });
    expect([response.status, await response.text(), response.headers.get('content-range')]).toEqual(
      [206, body, `bytes ${extent}/43`],
    );
  });

  it.for([
    'bytes=a-b',
    'lines=1-2',
    'bytes=5-2',
    'bytes=-',
    'bytes=-0',
    'bytes=',
    'bytes=0-1,x',
    // More than the file has, by overlapping.
    'bytes=0-,0-',
    // Of one byte each, but too many.
    `bytes=${Array.from({ length: 17 }, (_, index) => `${index}-${index}`).join(',')}`,
  ])('Range %s is answered with the whole', async (range) => {
    const { get } = await serving();
    const response = await get({ range });
    expect([response.status, await response.text()]).toEqual([200, text]);
  });

  it('several ranges are one answer of several parts, in the order asked for', async () => {
    const { get } = await serving();
    const response = await get({ range: 'bytes=40-42, 0-2,-1,99-' });
    expect(response.status).toBe(206);
    const [, boundary = ''] =
      /^multipart\/byteranges; boundary=(\S+)$/.exec(response.headers.get('content-type') ?? '') ??
      [];
    const body = await response.text();
    expect(response.headers.get('content-length')).toBe(String(body.length));
    const part = (range: string, content: string): string =>
      `\r\n--${boundary}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes ${range}/43\r\n\r\n${content}`;
    expect(body).toBe(
      `${part('40-42', 'dog')}${part('0-2', 'The')}${part('42-42', 'g')}\r\n--${boundary}--\r\n`,
    );
  });

  it('several ranges of which none is there are 416', async () => {
    const { get } = await serving();
    const response = await get({ range: 'bytes=43-,50-60' });
    expect([response.status, response.headers.get('content-range')]).toEqual([416, 'bytes */43']);
  });

  it('several ranges answer the conditions as one does', async () => {
    const { get, etag } = await serving();
    const range = 'bytes=0-0,2-2';
    expect((await get({ range, 'if-none-match': `"${etag}"` })).status).toBe(304);
    expect((await get({ range, 'if-match': '"x"' })).status).toBe(412);
    const other = await get({ range, 'if-range': '"x"' });
    expect([other.status, await other.text()]).toEqual([200, text]);
  });

  it('an answer of several parts breaks off when the file is replaced on the way', async () => {
    const { files, get } = await serving();
    const response = await get({ range: 'bytes=0-2,4-8' });
    await files.put('docs/fox & co.txt', text.toUpperCase());
    await expect(response.text()).rejects.toMatchObject({ code: 'failed-precondition' });
  });

  it('content is read as the client takes it, and no more once it has gone', async () => {
    let given = 0;
    let isReleased = false;
    const files = new FileStorage(
      new (class extends MemoryStorageDriver {
        override async get(key: string): Promise<DriverFile> {
          const body = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
            try {
              for (; given < 1000; given += 1) yield new Uint8Array(64 * 1024);
            } finally {
              isReleased = true;
            }
          };
          return { info: { ...(await super.head(key)), size: 1000 * 64 * 1024 }, body: body() };
        }
      })({ urls }),
    );
    await files.put('large', '');
    const url = await files.signedUrl('large', { expiresIn: '5m' });
    const response = await files.handler()(new Request(url));
    const reader = (response.body ?? new ReadableStream()).getReader();
    await reader.read();
    await reader.read();
    expect(given).toBeLessThan(8);
    await reader.cancel();
    expect([isReleased, given < 8]).toEqual([true, true]);
  });

  it('a range past the end is 416 and says the size', async () => {
    const { get } = await serving();
    const response = await get({ range: 'bytes=43-' });
    expect([response.status, response.headers.get('content-range')]).toEqual([416, 'bytes */43']);
  });

  it('If-None-Match of this version is 304 without a body; of another is 200', async () => {
    const { get, etag } = await serving();
    for (const value of [`"${etag}"`, `W/"${etag}"`, `"x", "${etag}"`, '*']) {
      expect((await get({ 'if-none-match': value })).status, value).toBe(304);
    }
    expect((await get({ 'if-none-match': '"x"' })).status).toBe(200);
  });

  it('If-Match of another version is 412', async () => {
    const { get, etag } = await serving();
    expect((await get({ 'if-match': '"x"' })).status).toBe(412);
    expect((await get({ 'if-match': `"${etag}"` })).status).toBe(200);
  });

  it('If-Modified-Since is held against the time of the file', async () => {
    const { get, clock } = await serving();
    expect((await get({ 'if-modified-since': new Date(clock.now()).toUTCString() })).status).toBe(
      304,
    );
    expect(
      (await get({ 'if-modified-since': new Date(clock.now() - 1000).toUTCString() })).status,
    ).toBe(200);
  });

  it('If-Range of another version gives the whole of this one', async () => {
    const { get, etag } = await serving();
    expect((await get({ range: 'bytes=0-2', 'if-range': `"${etag}"` })).status).toBe(206);
    const response = await get({ range: 'bytes=0-2', 'if-range': '"x"' });
    expect([response.status, await response.text()]).toEqual([200, text]);
  });

  it('If-Range of a longer version gives the whole of this one, not 416', async () => {
    const { get } = await serving();
    const response = await get({ range: 'bytes=500-', 'if-range': '"x"' });
    expect([response.status, await response.text()]).toEqual([200, text]);
  });

  it('a file that changes while it is answered has the headers of what is sent', async () => {
    const { files, get } = await serving();
    const original = files.get.bind(files);
    files.get = async (key, options) => {
      const file = await original(key, options);
      await files.put(key, 'changed meanwhile', { contentType: 'text/css' });
      return file;
    };
    const response = await get({ range: 'bytes=0-2', 'if-range': '"x"' });
    const { etag } = await files.head('docs/fox & co.txt');
    expect([
      response.status,
      await response.text(),
      response.headers.get('etag'),
      response.headers.get('content-type'),
    ]).toEqual([200, 'changed meanwhile', `"${etag}"`, 'text/css']);
  });

  it('HEAD answers the conditions as GET does', async () => {
    const { get, etag } = await serving();
    expect((await get({ 'if-none-match': `"${etag}"` }, 'HEAD')).status).toBe(304);
    expect((await get({ 'if-none-match': '"x"' }, 'HEAD')).status).toBe(200);
    expect((await get({ 'if-match': '"x"' }, 'HEAD')).status).toBe(412);
  });

  it('what was signed for the answer is in the answer', async () => {
    const { files, handler } = await serving();
    const url = await files.signedUrl('docs/fox & co.txt', {
      expiresIn: '5m',
      contentDisposition: 'attachment; filename="fox.txt"',
      contentType: 'application/octet-stream',
    });
    const response = await handler(new Request(url));
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="fox.txt"');
    expect(response.headers.get('content-type')).toBe('application/octet-stream');
  });

  it('a file that is not there is 404', async () => {
    const { files, handler } = await serving();
    expect(
      (await handler(new Request(await files.signedUrl('nope', { expiresIn: '5m' })))).status,
    ).toBe(404);
  });
});

describe('storage handler › signatures', () => {
  it('a URL is refused once it has expired', async () => {
    const { clock, get } = await serving();
    await clock.advance(5 * 60_000 - 1);
    expect((await get()).status).toBe(200);
    await clock.advance(1);
    expect((await get()).status).toBe(403);
  });

  it('a URL of which anything was changed is refused', async () => {
    const { handler, url, files } = await serving();
    await files.put('docs/other.txt', 'other');
    const changes: Readonly<Record<string, (changed: URL) => void>> = {
      key: (changed) => (changed.pathname = '/files/docs/other.txt'),
      'key, by a traversal': (changed) => (changed.pathname = '/files/docs/x/../other.txt'),
      'key, encoded': (changed) => (changed.pathname = '/files/docs%2fother.txt'),
      expiry: (changed) => changed.searchParams.set('expires', '99999999999999'),
      method: (changed) => changed.searchParams.set('method', 'PUT'),
      'an added type': (changed) => changed.searchParams.set('type', 'text/html'),
      'an added disposition': (changed) => changed.searchParams.append('disposition', 'inline'),
      'a second expiry': (changed) => changed.searchParams.append('expires', '99999999999999'),
      signature: (changed) => changed.searchParams.set('signature', 'AAAA'),
      'no signature': (changed) => changed.searchParams.delete('signature'),
      mount: (changed) => (changed.pathname = changed.pathname.replace('/files/', '/other/')),
    };
    for (const [what, change] of Object.entries(changes)) {
      const changed = new URL(url);
      change(changed);
      expect((await handler(new Request(changed))).status, what).toBe(403);
    }
  });

  it('a URL that another secret signed is refused', async () => {
    const { handler } = await serving();
    const other = memoryStorage({
      urls: { ...urls, secret: 'another secret of thirty-two characters!' },
    });
    expect(
      (await handler(new Request(await other.signedUrl('docs/fox & co.txt', { expiresIn: '5m' }))))
        .status,
    ).toBe(403);
  });

  it('a URL for reading cannot write, and one for writing cannot read', async () => {
    const { handler, url, files } = await serving();
    expect((await handler(new Request(url, { method: 'PUT', body: 'x' }))).status).toBe(403);
    const upload = await files.signedUpload('docs/fox & co.txt', {
      expiresIn: '5m',
      maxSize: 10,
      contentType: 'text/plain',
    });
    expect((await handler(new Request(upload.url))).status).toBe(403);
    expect((await handler(new Request(url, { method: 'DELETE' }))).status).toBe(405);
  });

  it('no URL is signed without the option, with a short secret, or for too long', async () => {
    await expect(memoryStorage().signedUrl('a', { expiresIn: '5m' })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    expect(() => memoryStorage({ urls: { ...urls, secret: 'short' } })).toThrow(/32 characters/);
    expect(() => memoryStorage({ urls: { ...urls, baseUrl: '/files' } })).toThrow(/baseUrl/);
    const { files } = await serving();
    await expect(files.signedUrl('a', { expiresIn: '8d' })).rejects.toMatchObject({
      code: 'invalid-argument',
    });
    await expect(
      files.signedUrl('a', { expiresIn: '5m', contentDisposition: 'x\r\ny: z' }),
    ).rejects.toMatchObject({ code: 'invalid-argument' });
  });

  it('without the option, the handler refuses everything', async () => {
    const files = memoryStorage();
    await files.put('a', 'x');
    expect(
      (
        await files.handler()(
          new Request('https://example.com/a?method=GET&expires=99999999999999&signature='),
        )
      ).status,
    ).toBe(403);
  });
});

describe('storage handler › PUT', () => {
  async function uploading() {
    const { files, handler } = await serving();
    const upload = await files.signedUpload('in/box.txt', {
      expiresIn: '5m',
      maxSize: '1KiB',
      contentType: 'text/plain',
    });
    const send = async (
      body: string | ReadableStream,
      headers: Record<string, string> = upload.headers,
    ): Promise<Response> =>
      await handler(
        new Request(upload.url, { method: upload.method, headers, body, duplex: 'half' }),
      );
    return { files, send };
  }

  it('stores what was sent, as the type that was signed', async () => {
    const { files, send } = await uploading();
    expect((await send('hello')).status).toBe(201);
    expect(await (await files.get('in/box.txt')).text()).toBe('hello');
    expect((await files.head('in/box.txt')).contentType).toBe('text/plain');
  });

  it('more than was signed is 413, whether its length was declared or not, and nothing is stored', async () => {
    const { files, send } = await uploading();
    const long = 'x'.repeat(1025);
    expect(
      (await send(long, { 'content-type': 'text/plain', 'content-length': '1025' })).status,
    ).toBe(413);
    expect((await send(new Blob([long]).stream(), { 'content-type': 'text/plain' })).status).toBe(
      413,
    );
    expect((await send('x'.repeat(1024))).status).toBe(201);
    await files.delete('in/box.txt');
  });

  it('another type than was signed is 415, and nothing is stored', async () => {
    const { files, send } = await uploading();
    expect((await send('<script>', { 'content-type': 'text/html' })).status).toBe(415);
    expect(await files.exists('in/box.txt')).toBe(false);
  });
});
