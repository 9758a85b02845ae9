import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { fakeClock } from '../core/index.ts';
import { memoryStorage } from './memory.ts';
import { uploadIntents, type UploadIntentsOptions } from './upload-intents.ts';

const secret = 'a secret of at least thirty-two characters';
const csv = 'a,b\n1,2\n';
const wish = { key: 'reports/1.csv', owner: 'ann', contentType: 'text/csv', size: csv.length };
const png = Uint8Array.from([
  0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1,
]);

function desk(options: Partial<UploadIntentsOptions> = {}) {
  const clock = fakeClock();
  const files = memoryStorage({ urls: { baseUrl: 'https://example.com/files', secret }, clock });
  const uploads = uploadIntents(files, {
    accept: { 'text/csv': '1KiB', 'image/*': 100 },
    secret,
    clock,
    ...options,
  });
  const serve = files.handler();
  type Intent = Awaited<ReturnType<typeof uploads.create>>;
  const send = async ({ upload }: Intent, body: string | Uint8Array<ArrayBuffer>) => {
    if (upload.method !== 'PUT') throw new Error('the memory adapter signs a PUT');
    const { url, method, headers } = upload;
    return (await serve(new Request(url, { method, headers, body }))).status;
  };
  const keys = async () => (await Array.fromAsync(files.listAll())).map(({ key }) => key);
  return { clock, files, uploads, send, keys };
}

describe('upload intents › create', () => {
  it.for([
    ['a type that is not accepted', { contentType: 'text/html' }, /text\/html is not accepted/],
    ['more than its type may have', { size: 1025 }, /1025 bytes of text\/csv are more than 1024/],
    ['more than its kind may have', { contentType: 'image/png', size: 101 }, /more than 100/],
    ['a size that is none', { size: -1 }, /size/],
    ['a type that is none', { contentType: 'csv' }, /content type/],
    ['nobody', { owner: '' }, /owner/],
    ['a key that is none', { key: '../1.csv' }, /key/],
    ['a checksum that is none', { sha256: 'abc' }, /sha256/],
  ] as const)('refuses %s before anything is signed', async ([, change, message]) => {
    const { uploads } = desk();
    await expect(uploads.create({ ...wish, ...change })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message) as unknown,
    });
  });

  it.for([
    ['a short secret', { secret: 'short' }],
    ['a prefix that is no folder', { pendingPrefix: 'pending' }],
    ['a prefix that is no key', { pendingPrefix: '../' }],
    ['nothing that is accepted', { accept: {} }],
    ['a type that is none', { accept: { csv: 1 } }],
  ] as const)('cannot be set up with %s', ([, options]) => {
    expect(() => desk(options)).toThrow(expect.objectContaining({ code: 'invalid-argument' }));
  });
});

describe('upload intents › complete', () => {
  it('puts what was announced at its key, and nothing is there before', async () => {
    const { uploads, send, files, keys } = desk();
    const intent = await uploads.create(wish);
    expect(await send(intent, csv)).toBe(201);
    expect(await files.exists(wish.key)).toBe(false);
    const info = await uploads.complete(intent.token, { owner: 'ann' });
    expect([info.key, info.contentType, info.size]).toEqual([wish.key, 'text/csv', csv.length]);
    expect(await keys()).toEqual([wish.key]);
    expect(await (await files.get(wish.key)).text()).toBe(csv);
  });

  it('refuses another owner, and a token that was changed or that another secret signed', async () => {
    const { uploads, send, keys } = desk();
    const intent = await uploads.create(wish);
    await send(intent, csv);
    const [payload = '', signature] = intent.token.split('.');
    const facts = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const forged = Buffer.from(JSON.stringify({ ...facts, key: 'admin' })).toString('base64url');
    const other = desk({ secret: `another ${secret}` });
    const foreign = await other.uploads.create(wish);
    for (const [token, owner] of [
      [intent.token, 'bob'],
      [`${forged}.${signature}`, 'ann'],
      [foreign.token, 'ann'],
      [payload, 'ann'],
      ['', 'ann'],
    ] as const)
      await expect(uploads.complete(token, { owner })).rejects.toMatchObject({
        code: 'permission-denied',
      });
    expect(await keys()).toHaveLength(1);
    await uploads.complete(intent.token, { owner: 'ann' });
  });

  it('says so when nothing has arrived, and when it was completed before', async () => {
    const { uploads, send } = desk();
    const intent = await uploads.create(wish);
    const complete = async () => await uploads.complete(intent.token, { owner: 'ann' });
    await expect(complete()).rejects.toMatchObject({ code: 'not-found' });
    await send(intent, csv);
    await complete();
    await expect(complete()).rejects.toMatchObject({ code: 'not-found' });
  });

  it('replaces nothing', async () => {
    const { uploads, send, files } = desk();
    await files.put(wish.key, 'there');
    const intent = await uploads.create(wish);
    await send(intent, csv);
    await expect(uploads.complete(intent.token, { owner: 'ann' })).rejects.toMatchObject({
      code: 'already-exists',
    });
    expect(await (await files.get(wish.key)).text()).toBe('there');
  });

  it.for([
    ['of another size', wish, 'a,b\n', 'invalid-argument'],
    ['with the signature of another type', { ...wish, size: png.length }, png, 'invalid-argument'],
    [
      'without the signature of its type',
      { ...wish, contentType: 'image/png' },
      csv,
      'invalid-argument',
    ],
  ] as const)('what arrives %s is refused and deleted', async ([, announced, body, code]) => {
    const { uploads, send, keys } = desk();
    const intent = await uploads.create(announced);
    expect(await send(intent, body)).toBe(201);
    await expect(uploads.complete(intent.token, { owner: 'ann' })).rejects.toMatchObject({ code });
    expect(await keys()).toEqual([]);
  });

  it('content with another checksum does not even arrive where the storage can sign one', async () => {
    const { uploads, send, keys } = desk();
    const sha256 = createHash('sha256').update('other').digest('hex');
    expect(await send(await uploads.create({ ...wish, sha256 }), csv)).toBe(422);
    expect(await keys()).toEqual([]);
  });

  it('content with another checksum is refused and deleted where it cannot', async () => {
    const { uploads, files, keys } = desk();
    const sha256 = createHash('sha256').update('other').digest('hex');
    const { token } = await uploads.create({ ...wish, sha256 });
    const { pending } = JSON.parse(
      Buffer.from(token.split('.')[0] ?? '', 'base64url').toString(),
    ) as { pending: string };
    await files.put(pending, csv, { contentType: 'text/csv' });
    await expect(uploads.complete(token, { owner: 'ann' })).rejects.toMatchObject({
      code: 'data-loss',
    });
    expect(await keys()).toEqual([]);
  });

  it('content that is sent again after it was looked at does not slip through', async () => {
    const { uploads, send, files } = desk();
    const intent = await uploads.create({ ...wish, contentType: 'image/png', size: png.length });
    await send(intent, png);
    const original = files.move.bind(files);
    files.move = async (...call) => {
      await send(intent, 'x'.repeat(png.length));
      return await original(...call);
    };
    await expect(uploads.complete(intent.token, { owner: 'ann' })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    expect(await files.exists(wish.key)).toBe(false);
  });

  it('an empty file is one too', async () => {
    const { uploads, send } = desk();
    const intent = await uploads.create({ ...wish, size: 0 });
    expect(await send(intent, '')).toBe(201);
    expect((await uploads.complete(intent.token, { owner: 'ann' })).size).toBe(0);
  });
});

describe('upload intents › reap', () => {
  it('deletes what nobody completed in time, and nothing else', async () => {
    const { clock, uploads, send, files, keys } = desk({ expiresIn: '10m', keepFor: '1h' });
    await files.put('pending/readme.txt', 'not an upload');
    await send(await uploads.create(wish), csv);
    await clock.advance(5 * 60_000);
    const later = await uploads.create(wish);
    await send(later, csv);
    await clock.advance(65 * 60_000);
    expect(await uploads.reap()).toBe(0);
    await clock.advance(1);
    expect(await uploads.reap()).toBe(1);
    await uploads.complete(later.token, { owner: 'ann' });
    expect(await keys()).toEqual(['pending/readme.txt', wish.key]);
  });
});
