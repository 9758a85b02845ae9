import { describe, expect, it } from 'vitest';

import { definePolicy, type OperationEvent, subscribeToOperations } from '../core/index.ts';
import { checksumsOf } from './checksums.ts';
import type { DriverPut, FileInfo } from './driver.ts';
import { MemoryStorageDriver, memoryStorage } from './memory.ts';
import { FileStorage } from './storage.ts';

/** A memory driver whose first puts fail after they have read their body. */
class FailingFirst extends MemoryStorageDriver {
  failures = 1;
  puts = 0;

  override async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    this.puts += 1;
    if (this.puts > this.failures) return await super.put(key, body, options, signal);
    if (!(body instanceof Uint8Array)) await Array.fromAsync(body);
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  }
}

describe('storage › signals', () => {
  it('a caller may cancel a file that is being read, also under timeouts that were for the call', async () => {
    const timed = definePolicy('timed', { timeout: '10s', attemptTimeout: '5s' });
    const files = new FileStorage(new MemoryStorageDriver(), { policy: timed });
    await files.put('a', 'hello');
    const controller = new AbortController();
    const file = await files.get('a', { signal: controller.signal });
    controller.abort();
    await expect(Array.fromAsync(file.stream())).rejects.toMatchObject({ code: 'cancelled' });
  });
});

const retrying = definePolicy('retrying', { retry: { attempts: 2, initialDelay: 0 } });

describe('storage › retries', () => {
  it('bytes are sent again', async () => {
    const driver = new FailingFirst();
    const files = new FileStorage(driver, { policy: retrying });
    await files.put('a', 'hello');
    expect(driver.puts).toBe(2);
    expect(await (await files.get('a')).text()).toBe('hello');
  });

  it('a blob is sent again', async () => {
    const driver = new FailingFirst();
    const files = new FileStorage(driver, { policy: retrying });
    await files.put('a', new Blob(['hello']));
    expect(await (await files.get('a')).text()).toBe('hello');
  });

  it('a stream is never sent again, since its first attempt has used it up', async () => {
    const driver = new FailingFirst();
    const files = new FileStorage(driver, { policy: retrying });
    const put = files.put('a', new Blob(['hello']).stream());
    await expect(put).rejects.toMatchObject({ code: 'unavailable', retryable: false });
    expect(driver.puts).toBe(1);
    expect(await files.exists('a')).toBe(false);
  });

  it('a conditional put is not repeated when its outcome is unknown', async () => {
    const driver = new FailingFirst();
    driver.put = async () => {
      driver.puts += 1;
      throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    };
    const files = new FileStorage(driver, { policy: retrying });
    await expect(files.put('a', 'x', { ifNoneMatch: '*' })).rejects.toMatchObject({
      outcome: 'unknown',
    });
    expect(driver.puts).toBe(1);
    await expect(files.put('a', 'x')).rejects.toMatchObject({ code: 'unavailable' });
    expect(driver.puts).toBe(4);
  });
});

describe('storage › events', () => {
  it('each call is one event, with key and size and without content', async () => {
    const files = memoryStorage();
    const events: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => {
        if (event.component === 'storage') events.push(event);
      },
    });
    await files.put('a', 'secret content', { metadata: { note: 'hidden' } });
    await files.exists('b');
    await expect(files.get('c')).rejects.toMatchObject({ code: 'not-found' });
    unsubscribe();
    expect(events.map(({ operation, attributes }) => [operation, attributes])).toEqual([
      ['put', { adapter: 'memory', key: 'a', size: 14 }],
      ['exists', { adapter: 'memory', key: 'b' }],
      ['get', { adapter: 'memory', key: 'c' }],
    ]);
    expect(events[2]?.error).toMatchObject({ code: 'not-found' });
    expect(JSON.stringify(events)).not.toMatch(/secret|hidden/);
  });
});

describe('storage › integrity', () => {
  it('content that changed behind the back of the storage is data-loss, in one piece or as a stream', async () => {
    const files = memoryStorage();
    await files.put('a', new Uint8Array(200_000));
    files.native.get('a')?.bytes.fill(1, 100_000, 100_001);
    await expect((await files.get('a')).bytes()).rejects.toMatchObject({ code: 'data-loss' });
    await expect(Array.fromAsync((await files.get('a')).stream())).rejects.toMatchObject({
      code: 'data-loss',
    });
  });

  it('a full memory storage refuses what is too much, and keeps what it has', async () => {
    const files = memoryStorage({ maxBytes: 10 });
    await files.put('a', '12345');
    await expect(files.put('b', '123456')).rejects.toMatchObject({
      code: 'resource-exhausted',
      retryable: false,
    });
    await expect(files.put('b', new Blob(['123456789012']).stream())).rejects.toMatchObject({
      code: 'resource-exhausted',
    });
    await files.put('a', '1234567890');
    await files.delete('a');
    await files.put('b', '1234567890');
    expect((await files.list()).files.map(({ key }) => key)).toEqual(['b']);
  });
});

describe('storage › the driver’s stream', () => {
  it('is released when the stream of a file is cancelled, also before it is read', async () => {
    for (const reads of [0, 1]) {
      const driver = new MemoryStorageDriver();
      const files = new FileStorage(driver);
      await files.put('a', 'hello');
      const { info } = await driver.get('a', undefined);
      let released = 0;
      driver.get = async () => ({
        info,
        body: {
          [Symbol.asyncIterator]: () => ({
            next: async () => ({ done: false, value: new Uint8Array(1) }),
            return: async () => {
              released += 1;
              return { done: true, value: undefined };
            },
          }),
        },
      });
      const reader = (await files.get('a')).stream().getReader();
      for (let read = 0; read < reads; read += 1) await reader.read();
      await reader.cancel();
      expect(released).toBe(1);
    }
  });
});

describe('storage › deletePrefix', () => {
  it('each of its calls is guarded by itself, so that a retry neither starts anew nor loses count', async () => {
    const driver = new MemoryStorageDriver();
    const files = new FileStorage(driver, { policy: retrying });
    await Promise.all(
      Array.from({ length: 1005 }, async (_, index) => await files.put(`logs/${index}`, 'x')),
    );
    let lists = 0;
    const list = driver.list.bind(driver);
    driver.list = async (options) => {
      lists += 1;
      if (lists === 2) throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
      return await list(options);
    };
    expect(await files.deletePrefix('logs/')).toBe(1005);
    expect(lists).toBe(3);
  });

  it('nothing of it goes on once it has failed', async () => {
    const driver = new MemoryStorageDriver();
    const files = new FileStorage(driver);
    for (const key of ['a/1', 'a/2', 'a/3']) await files.put(key, 'x');
    const failed = Promise.withResolvers<void>();
    let underWay = 0;
    driver.delete = async (key) => {
      if (key === 'a/1') {
        setImmediate(failed.resolve);
        throw new Error('no');
      }
      underWay += 1;
      await failed.promise;
      underWay -= 1;
    };
    await expect(files.deletePrefix('a/')).rejects.toMatchObject({ code: 'internal' });
    expect(underWay).toBe(0);
  });
});

describe('storage › races', () => {
  it.for([
    ['ifNoneMatch', { ifNoneMatch: '*' }],
    ['ifMatch', {}],
  ] as const)('of writers with %s one wins, 100 of 100 times', async ([name, conditions]) => {
    const files = memoryStorage();
    for (let round = 0; round < 100; round += 1) {
      const key = `raced/${round}`;
      const ifMatch = name === 'ifMatch' ? (await files.put(key, 'first')).etag : undefined;
      const texts = ['one', 'two', 'three', 'four'];
      const ends = await Promise.allSettled(
        texts.map(async (text) => {
          const body = new Blob([text]).stream();
          await files.put(key, body, { ...conditions, ...(ifMatch !== undefined && { ifMatch }) });
          return text;
        }),
      );
      const winners = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
      expect(winners).toHaveLength(1);
      expect(await (await files.get(key)).text()).toBe(winners[0]);
    }
  });
});

describe('storage › checksums that a driver forgoes', () => {
  // As adapters do with streams that they send in parts.
  class Forgoing extends MemoryStorageDriver {
    override async put(
      key: string,
      body: Uint8Array | AsyncIterable<Uint8Array>,
      options: DriverPut,
    ): Promise<FileInfo> {
      options.forgoChecksums?.();
      const bytes = body instanceof Uint8Array ? body : Buffer.concat(await Array.fromAsync(body));
      return await super.put(key, bytes, { ...options, checksums: () => checksumsOf(bytes) });
    }
  }

  it('are held against what the caller expects all the same', async () => {
    const files = new FileStorage(new Forgoing());
    const expected = { crc32: checksumsOf(Buffer.from('hello')).crc32 };
    await files.put('a', new Blob(['hello']).stream(), expected);
    for (const [text, options] of [
      ['hellp', expected],
      ['hello', { size: 4 }],
      ['hello', { sha256: 'f'.repeat(64) }],
    ] as const)
      await expect(files.put('b', new Blob([text]).stream(), options)).rejects.toMatchObject({
        outcome: 'not-applied',
      });
    expect(await files.exists('b')).toBe(false);
  });
});
