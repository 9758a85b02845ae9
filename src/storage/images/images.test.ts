import { crc32, deflateSync } from 'node:zlib';

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

import { memoryStorage } from '../memory.ts';
import { type ImageVariant, type ImageVariantsOptions, variants } from './index.ts';

const sizes = {
  thumb: { width: 32, format: 'webp' },
  square: { width: 16, height: 16, fit: 'cover', format: 'png' },
  tall: { height: 8, format: 'jpeg', quality: 50 },
  modern: { width: 20, format: 'avif' },
} as const;

async function photo(width = 128, height = 64, background = '#369'): Promise<Uint8Array> {
  return await sharp({ create: { width, height, channels: 3, background } })
    .jpeg()
    .withExif({ IFD0: { Copyright: 'Ann' } })
    .toBuffer();
}

// A PNG whose header promises more than is there, as decompression bombs do.
function bomb(width: number, height: number): Uint8Array {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1024))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

async function gallery() {
  const files = memoryStorage();
  await files.put('cat.jpg', await photo());
  const puts: string[] = [];
  const original = files.put.bind(files);
  files.put = async (key, ...rest) => {
    puts.push(key);
    return await original(key, ...rest);
  };
  const keys = async () => (await Array.fromAsync(files.listAll())).map(({ key }) => key);
  return { files, puts, keys, pictures: variants(files, sizes) };
}

describe('image variants', () => {
  it.for([
    ['thumb', 'webp', 32, 16],
    ['square', 'png', 16, 16],
    ['tall', 'jpeg', 16, 8],
    ['modern', 'heif', 20, 10],
  ] as const)('%s is made as it was described', async ([name, format, width, height]) => {
    const { pictures } = await gallery();
    const file = await pictures.get('cat.jpg', name);
    expect(file.info.contentType).toBe(`image/${sizes[name].format}`);
    const found = await sharp(await file.bytes()).metadata();
    expect([found.format, found.width, found.height]).toEqual([format, width, height]);
    expect(found.exif).toBeUndefined();
  });

  it('a picture is never made larger, and stands upright', async () => {
    const { files } = await gallery();
    const lying = await sharp(await photo(10, 4))
      .withMetadata({ orientation: 6 })
      .toBuffer();
    await files.put('small.jpg', lying);
    const file = await variants(files, { big: { width: 500, format: 'png' } }).get(
      'small.jpg',
      'big',
    );
    const { width, height } = await sharp(await file.bytes()).metadata();
    expect([width, height]).toEqual([4, 10]);
  });

  it('each is made once, however many ask at the same time, and kept', async () => {
    const { pictures, puts } = await gallery();
    const keys = await Promise.all(
      Array.from({ length: 20 }, async () => await pictures.key('cat.jpg', 'thumb')),
    );
    expect(new Set(keys).size).toBe(1);
    expect(puts).toEqual([keys[0]]);
    await pictures.get('cat.jpg', 'thumb');
    expect(puts).toHaveLength(1);
  });

  it('one who gives up does not end it for the others', async () => {
    const { pictures } = await gallery();
    const controller = new AbortController();
    const first = pictures.key('cat.jpg', 'thumb', { signal: controller.signal });
    const second = pictures.key('cat.jpg', 'thumb');
    controller.abort();
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    expect(await second).toMatch(/^variants\//);
  });

  it('a picture that was replaced gets new ones, and the old are deleted', async () => {
    const { files, pictures, keys } = await gallery();
    const old = await pictures.key('cat.jpg', 'thumb');
    const square = await pictures.key('cat.jpg', 'square');
    await files.put('cat.jpg', await photo(40, 40, '#c00'));
    const fresh = await pictures.key('cat.jpg', 'thumb');
    expect(fresh).not.toBe(old);
    expect(await keys()).toEqual(['cat.jpg', fresh, square].toSorted());
  });

  it('a variant that is described anew is made anew', async () => {
    const { files, pictures } = await gallery();
    const old = await pictures.key('cat.jpg', 'thumb');
    const wider = variants(files, { thumb: { width: 64, format: 'webp' } });
    const file = await wider.get('cat.jpg', 'thumb');
    expect(file.info.key).not.toBe(old);
    expect((await sharp(await file.bytes()).metadata()).width).toBe(64);
  });

  it('delete removes all of one source, and no others', async () => {
    const { files, pictures, keys } = await gallery();
    await files.put('dog.jpg', await photo());
    await pictures.key('cat.jpg', 'thumb');
    await pictures.key('cat.jpg', 'tall');
    const kept = await pictures.key('dog.jpg', 'thumb');
    await pictures.delete('cat.jpg');
    expect(await keys()).toEqual(['cat.jpg', 'dog.jpg', kept]);
  });

  it('a source that is not there is not-found, and a name that is none is refused', async () => {
    const { pictures } = await gallery();
    await expect(pictures.get('nope.jpg', 'thumb')).rejects.toMatchObject({ code: 'not-found' });
    for (const name of ['nope', 'toString', '__proto__'])
      await expect(pictures.get('cat.jpg', name as 'thumb')).rejects.toMatchObject({
        code: 'invalid-argument',
      });
  });
});

describe('image variants › what could do harm', () => {
  it.for<[string, () => string | Uint8Array, RegExp]>([
    ['no picture', () => 'hello', /no picture/],
    [
      'SVG',
      () => '<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
      /no picture/,
    ],
    ['PDF', () => '%PDF-1.7\n', /no picture/],
    ['a decompression bomb', () => bomb(30_000, 30_000), /900000000 pixels, more than 50000000/],
    ['a picture that breaks off', () => bomb(100, 100), /cannot be decoded/],
    ['a header alone', () => bomb(100, 100).slice(0, 40), /cannot be/],
  ])('%s is refused, and nothing is kept', async ([, make, message]) => {
    const { files, pictures, keys } = await gallery();
    await files.put('bad', make());
    await expect(pictures.get('bad', 'thumb')).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message) as unknown,
    });
    expect(await keys()).toEqual(['bad', 'cat.jpg']);
  });

  it('a source of too many bytes is not even read', async () => {
    const { files } = await gallery();
    const pictures = variants(files, sizes, { maxBytes: 100 });
    files.get = async () => await Promise.reject(new Error('read'));
    await expect(pictures.key('cat.jpg', 'thumb')).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });

  it('of a picture that moves the first frame counts, and is shown', async () => {
    const { files } = await gallery();
    const pixels = Buffer.alloc(100 * 1000 * 3);
    for (let frame = 0; frame < 10; frame += 1) pixels.fill(25 * frame, frame * 30_000);
    const film = await sharp(pixels, {
      raw: { width: 100, height: 1000, channels: 3, pageHeight: 100 },
    })
      .gif()
      .toBuffer();
    expect((await sharp(film).metadata()).pages).toBe(10);
    await files.put('film.gif', film);
    const pictures = variants(files, sizes, { maxPixels: 10_000 });
    const { pages, width } = await sharp(
      await (await pictures.get('film.gif', 'thumb')).bytes(),
    ).metadata();
    expect([pages, width]).toEqual([undefined, 32]);
  });

  it.for([
    ['neither side', { format: 'webp' }],
    ['a side of nothing', { width: 0, format: 'webp' }],
    ['a side of too much', { width: 20_000, format: 'webp' }],
    ['a quality of too much', { width: 1, quality: 101, format: 'webp' }],
  ] as const)('a variant with %s cannot be described', ([, variant]) => {
    expect(() => variants(memoryStorage(), { thumb: variant })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    );
  });

  it.for<[string, Record<string, ImageVariant>, ImageVariantsOptions]>([
    ['a name that is none', { 'a/b': { width: 1, format: 'webp' } }, {}],
    ['a prefix that is no folder', {}, { prefix: 'x' }],
    ['a prefix that is no key', {}, { prefix: '../' }],
  ])('%s is refused', ([, described, options]) => {
    expect(() => variants(memoryStorage(), described, options)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    );
  });
});
