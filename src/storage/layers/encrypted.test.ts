import { describe, expect, it } from 'vitest';

import { chunksOf, noise } from '../conformance/support.ts';
import { type MemoryStorageDriver, memoryStorage } from '../memory.ts';
import type { FileStorage } from '../storage.ts';
import { encrypted, type EncryptionKey } from './encrypted.ts';
import { FileSeal, plainSize, sealedSize } from './sealing.ts';

const keyOf = (id: string, byte: number): EncryptionKey => ({
  id,
  secret: Buffer.alloc(32, byte).toString('base64'),
});
const keys = [keyOf('one', 1)];
const chunk = 64 * 1024;

/** Changes what is stored, as somebody who can write to the storage below could. */
function tamper(
  inner: FileStorage<MemoryStorageDriver>,
  key: string,
  change: (bytes: Uint8Array) => Uint8Array,
): void {
  const file = inner.native.get(key);
  if (!file) throw new Error(`nothing is at ${key}`);
  const bytes = new Uint8Array(change(file.bytes.slice()));
  // As an engine that knows nothing of checksums gives it.
  const { sha256: _, crc32: __, ...info } = file.info;
  inner.native.set(key, { bytes, info: { ...info, size: bytes.byteLength } });
}

async function read(files: FileStorage, key = 'a'): Promise<Uint8Array> {
  return await (await files.get(key)).bytes();
}

describe('encrypted › the stored object', () => {
  it('shows nothing of the content, and is another one each time', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    const text = 'a secret that is easy to find';
    const { sha256 = '' } = await files.put('a', text);
    const first = inner.native.get('a');
    await files.put('a', text);
    const second = inner.native.get('a');
    expect(Buffer.from(first?.bytes ?? []).includes('secret')).toBe(false);
    expect(Buffer.from(first?.bytes ?? []).equals(second?.bytes ?? new Uint8Array())).toBe(false);
    expect(JSON.stringify(first?.info)).not.toContain(sha256.slice(0, 32));
    expect(Buffer.from(first?.bytes ?? []).includes(Buffer.from(sha256, 'hex'))).toBe(false);
  });

  it('is what it was when this format was made', () => {
    const salt = Buffer.alloc(32, 5);
    const seal = new FileSeal('a/b', 'one', Buffer.alloc(32, 1), salt);
    const facts = { key: 'a/b', contentType: 'text/plain', metadata: { y: '2', x: '1' } };
    const sums = { sha256: 'ab'.repeat(32), crc32: '01020304' };
    expect(seal.sealChunk(0, Buffer.from('hello')).toString('hex')).toMatchInlineSnapshot(
      `"c9b835b47a75da4c47cf841cf40dc36f7b050d9d4a"`,
    );
    expect(seal.sealChunk(1, Buffer.from('hello')).toString('hex')).toMatchInlineSnapshot(
      `"e4904f82cadb234806f08d325fa0fc419029c66a7e"`,
    );
    expect(seal.sealFooter(facts, 10, sums).toString('hex')).toMatchInlineSnapshot(
      `"554e444552504e316f6e6500000000000000000000000000050505050505050505050505050505050505050505050505050505050505050535624d6c0375a20cd292d33ab3c8f93aaefef95784b70991a87813187bc9061a0bbf2faebd059160969619615d18b85ae23975ef"`,
    );
  });

  it('tells the size of its content by its own, or that nothing has such a size', () => {
    for (const size of [0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk, 5 * chunk + 7, 2 ** 40])
      expect(plainSize(sealedSize(size))).toBe(size);
    for (const sealed of [0, 100, 123, sealedSize(chunk) + 1, sealedSize(chunk) + 16])
      expect(plainSize(sealed)).toBeUndefined();
  });
});

describe('encrypted › what somebody did to the stored object is data-loss', () => {
  it('every flipped bit', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    await files.put('a', 'hello', { metadata: { x: '1' } });
    const { bytes } = inner.native.get('a') ?? { bytes: new Uint8Array() };
    for (let bit = 0; bit < bytes.byteLength * 8; bit += 1) {
      const flip = (stored: Uint8Array): Uint8Array => {
        stored[bit >> 3] = (stored[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        return stored;
      };
      tamper(inner, 'a', flip);
      const error = await read(files).catch((reason: unknown) => reason);
      // A flipped bit of the key's id may name one that is not there.
      expect(['data-loss', 'failed-precondition'], `bit ${bit}`).toContain(
        (error as { code?: unknown }).code,
      );
      tamper(inner, 'a', flip);
    }
    expect(Buffer.from(await read(files)).toString()).toBe('hello');
  });

  it('every cut, and everything that is added', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    for (let length = 0; length < sealedSize(5); length += 1) {
      await files.put('a', 'hello');
      tamper(inner, 'a', (bytes) => bytes.subarray(0, length));
      await expect(read(files), `first ${length}`).rejects.toMatchObject({ code: 'data-loss' });
      await files.put('a', 'hello');
      tamper(inner, 'a', (bytes) => bytes.subarray(bytes.byteLength - length));
      await expect(read(files), `last ${length}`).rejects.toMatchObject({ code: 'data-loss' });
    }
    await files.put('a', 'hello');
    tamper(inner, 'a', (bytes) => Buffer.concat([bytes, bytes]));
    await expect(read(files)).rejects.toMatchObject({ code: 'data-loss' });
  });

  it('chunks that are dropped, swapped, repeated, or of another version, also in a range', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    const content = noise(4 * chunk);
    await files.put('a', noise(4 * chunk, 2));
    const other = inner.native.get('a')?.bytes.slice() ?? new Uint8Array();
    const sealed = chunk + 16;
    const part = (bytes: Uint8Array, index: number): Uint8Array =>
      bytes.subarray(index * sealed, (index + 1) * sealed);
    const orders: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array[]>> = {
      dropped: (b) => [part(b, 0), part(b, 2), part(b, 3)],
      'dropped at the end': (b) => [part(b, 0), part(b, 1), part(b, 2)],
      swapped: (b) => [part(b, 0), part(b, 2), part(b, 1), part(b, 3)],
      repeated: (b) => [part(b, 0), part(b, 1), part(b, 1), part(b, 3)],
      added: (b) => [part(b, 0), part(b, 1), part(b, 2), part(b, 3), part(b, 3)],
      'of another version': (b) => [part(b, 0), part(other, 1), part(b, 2), part(b, 3)],
    };
    for (const [name, order] of Object.entries(orders)) {
      await files.put('a', content);
      tamper(inner, 'a', (bytes) => Buffer.concat([...order(bytes), bytes.subarray(4 * sealed)]));
      await expect(read(files), name).rejects.toMatchObject({ code: 'data-loss' });
      const range = { start: chunk + 5, end: chunk + 9 };
      // Sound where it was left alone, and nothing else.
      const slice = await files
        .get('a', { range })
        .then(async (file) => await file.bytes())
        .catch((error: unknown) => (error as { code?: unknown }).code);
      const sound = content.subarray(range.start, range.end + 1);
      expect(slice, name).toEqual(name === 'repeated' ? new Uint8Array(sound) : 'data-loss');
    }
  });

  it('another file in its place, and other facts', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    await files.put('a', 'ten euros', { contentType: 'text/plain' });
    await files.put('b', 'two euros', { contentType: 'text/plain' });
    await inner.copy('b', 'a');
    await expect(read(files)).rejects.toMatchObject({ code: 'data-loss' });
    await expect(files.head('a')).rejects.toMatchObject({ code: 'data-loss' });
    for (const change of [
      { contentType: 'text/html' },
      { metadata: { x: '1' } },
      { cacheControl: 'public' },
    ]) {
      await files.put('a', 'x', { contentType: 'text/plain' });
      const stored = inner.native.get('a');
      if (stored) inner.native.set('a', { ...stored, info: { ...stored.info, ...change } });
      await expect(files.head('a'), JSON.stringify(change)).rejects.toMatchObject({
        code: 'data-loss',
      });
    }
  });

  it('what was never encrypted', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    for (const content of ['', 'plain', noise(500), noise(200_000)]) {
      await inner.put('a', content);
      await expect(read(files)).rejects.toMatchObject({ code: 'data-loss' });
    }
  });
});

describe('encrypted › ranges', () => {
  it('are the slices of the content, at every boundary and wherever chance puts them', async () => {
    const files = encrypted(memoryStorage(), { keys });
    const random = noise(4000, 42);
    let drawn = 0;
    const draw = (below: number): number => {
      const [a = 0, b = 0, c = 0] = random.subarray(drawn, (drawn += 3));
      return ((a << 16) | (b << 8) | c) % below;
    };
    for (const size of [1, chunk - 1, chunk, chunk + 1, 3 * chunk, 3 * chunk + 1000]) {
      const content = noise(size, size);
      await files.put('a', chunksOf(content, 10_007));
      const ends = [0, 1, chunk - 1, chunk, chunk + 1, size - 1].filter((end) => end < size);
      const pairs = ends.flatMap((start) => ends.map((end) => [start, end] as const));
      for (let index = 0; index < 30; index += 1) pairs.push([draw(size), draw(size)]);
      for (const [start, end] of pairs) {
        if (start > end) continue;
        const file = await files.get('a', { range: { start, end } });
        expect(
          Buffer.compare(await file.bytes(), content.subarray(start, end + 1)),
          `${start} to ${end} of ${size}`,
        ).toBe(0);
      }
    }
  });

  it('read no more than the chunks that hold them, and the footer', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    await files.put('a', noise(10 * chunk));
    const asked: number[] = [];
    const get = inner.get.bind(inner);
    inner.get = async (...call) => {
      const file = await get(...call);
      if (file.range) asked.push(file.range.end + 1 - file.range.start);
      return file;
    };
    await (await files.get('a', { range: { start: 5 * chunk, end: 5 * chunk } })).bytes();
    expect(asked).toEqual([sealedSize(0) - 16, chunk + 16]);
  });
});

describe('encrypted › keys', () => {
  it('the first encrypts, all decrypt, and one that is gone is named', async () => {
    const inner = memoryStorage();
    await encrypted(inner, { keys }).put('a', 'old');
    const both = encrypted(inner, { keys: [keyOf('two', 2), ...keys] });
    expect(Buffer.from(await read(both)).toString()).toBe('old');
    await both.copy('a', 'b');
    const next = encrypted(inner, { keys: [keyOf('two', 2)] });
    expect(Buffer.from(await read(next, 'b')).toString()).toBe('old');
    await expect(read(next)).rejects.toMatchObject({
      code: 'failed-precondition',
      message: expect.stringContaining('"one"') as unknown,
    });
    const wrong = encrypted(inner, { keys: [keyOf('one', 9)] });
    await expect(read(wrong)).rejects.toMatchObject({ code: 'data-loss' });
  });

  it('that are none are refused, and never shown', () => {
    const secret = 'short but secret';
    for (const bad of [
      [],
      [{ id: 'one', secret }],
      [keyOf('UPPER', 1)],
      [keyOf('longer-than-sixteen', 1)],
      [keyOf('one', 1), keyOf('one', 2)],
    ]) {
      let error: unknown;
      try {
        encrypted(memoryStorage(), { keys: bad });
      } catch (reason) {
        error = reason;
      }
      expect(error).toMatchObject({ code: 'invalid-argument' });
      expect(String(error)).not.toContain(secret);
    }
  });
});

describe('encrypted › a file that is replaced while it is opened', () => {
  it('is opened anew, and is one version or the other', async () => {
    const inner = memoryStorage();
    const files = encrypted(inner, { keys });
    await files.put('a', noise(3 * chunk, 1));
    const get = inner.get.bind(inner);
    let calls = 0;
    inner.get = async (...call) => {
      calls += 1;
      if (calls === 2) await files.put('a', noise(3 * chunk, 2));
      return await get(...call);
    };
    expect(Buffer.compare(await read(files), noise(3 * chunk, 2))).toBe(0);
    expect(calls).toBe(4);
  });
});
