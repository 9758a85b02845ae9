import { describe, expect, it } from 'vitest';

import { diskStorage } from '../disk/index.ts';
import { MemoryStorageDriver, memoryStorage } from '../memory.ts';
import { FileStorage } from '../storage.ts';
import { type Fault, faulty } from './faulty.ts';
import { mirrored } from './mirrored.ts';

class Unreachable extends MemoryStorageDriver {
  async start(): Promise<void> {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  }
}

const down = (calls?: Fault['calls']): readonly Fault[] => [
  { ...(calls ? { calls } : {}), fail: 'before' },
];

describe('mirrored › writes', () => {
  it('are done when all storages hold them, with their facts', async () => {
    const [primary, second, third] = [memoryStorage(), memoryStorage(), memoryStorage()];
    const files = mirrored(primary, [second, third]);
    await files.put('a', new Blob(['hello']).stream(), { metadata: { x: '1' } });
    await files.copy('a', 'b');
    await files.move('a', 'c');
    const upload = await files.createUpload('d');
    await upload.putPart(1, 'parts');
    await upload.complete();
    await files.put('e', 'x');
    await files.deleteMany(['e']);
    for (const storage of [primary, second, third]) {
      expect([...storage.native.keys()].toSorted()).toEqual(['b', 'c', 'd']);
      expect((await storage.head('c')).metadata).toEqual({ x: '1' });
      expect(await (await storage.get('d')).text()).toBe('parts');
    }
  });

  it('say that they are applied, and who is behind, when a secondary fails', async () => {
    const [primary, second] = [memoryStorage(), memoryStorage()];
    const files = mirrored(primary, [memoryStorage(), faulty(second, { faults: down(['put']) })]);
    await expect(files.put('a', 'x')).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'applied',
      details: { behind: [1] },
      message: expect.stringContaining('2 (faulty(memory))') as unknown,
    });
    expect(await primary.exists('a')).toBe(true);
    expect(await second.exists('a')).toBe(false);
  });

  it('reach no secondary when the primary refuses or fails', async () => {
    const second = memoryStorage();
    const files = mirrored(memoryStorage(), [second]);
    const { etag } = await files.put('a', 'one');
    await expect(files.put('a', 'two', { ifNoneMatch: '*' })).rejects.toMatchObject({
      code: 'already-exists',
    });
    await expect(files.put('a', 'two', { ifMatch: 'other' })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    expect(await (await second.get('a')).text()).toBe('one');
    await files.put('a', 'two', { ifMatch: etag });
    expect(await (await second.get('a')).text()).toBe('two');
  });

  it('of one key end alike on all storages', async () => {
    const [primary, second] = [memoryStorage(), memoryStorage()];
    const files = mirrored(primary, [second]);
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => await files.put('a', `writer ${index}`)),
    );
    expect((await primary.head('a')).sha256).toBe((await second.head('a')).sha256);
  });
});

describe('mirrored › reads', () => {
  it('go to a secondary when the primary is unavailable, with the same etag', async () => {
    const [inner, second] = [memoryStorage(), memoryStorage()];
    const { etag } = await mirrored(inner, [second]).put('a/b', 'hello');
    const files = mirrored(faulty(inner, { faults: down() }), [second]);
    expect(await (await files.get('a/b', { ifMatch: etag })).text()).toBe('hello');
    expect((await files.head('a/b')).etag).toBe(etag);
    expect(await files.exists('a/b')).toBe(true);
    expect((await files.list({ delimiter: '/' })).prefixes).toEqual(['a/']);
    await expect(files.put('a', 'x')).rejects.toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
    });
  });

  it('do not bring back what the primary says is not there', async () => {
    const second = memoryStorage();
    await second.put('a', 'deleted long ago');
    const files = mirrored(memoryStorage(), [second]);
    await expect(files.get('a')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('say what the primary said when no storage answers', async () => {
    const files = mirrored(faulty(memoryStorage(), { faults: down() }), [memoryStorage()]);
    await expect(files.get('a')).rejects.toMatchObject({
      code: 'unavailable',
      adapter: 'mirrored(faulty(memory), memory)',
    });
  });
});

describe('mirrored › repair', () => {
  it('brings what is missing or differs, and deletes only when it is told to', async () => {
    const [primary, second] = [memoryStorage(), memoryStorage()];
    await primary.put('in/same', 'x');
    await second.put('in/same', 'x');
    await primary.put('in/other', 'new');
    await second.put('in/other', 'old');
    await primary.put('in/missing', 'x');
    await primary.put('out', 'x');
    await second.put('in/extra', 'x');
    const files = mirrored(primary, [second]);
    expect(await files.repair({ prefix: 'in/' })).toEqual({ copied: 2, deleted: 0 });
    expect([...second.native.keys()].toSorted()).toEqual([
      'in/extra',
      'in/missing',
      'in/other',
      'in/same',
    ]);
    expect(await (await second.get('in/other')).text()).toBe('new');
    expect(await files.repair({ prune: true })).toEqual({ copied: 1, deleted: 1 });
    expect(await files.repair({ prune: true })).toEqual({ copied: 0, deleted: 0 });
    await expect(files.repair({ prefix: '../' })).rejects.toMatchObject({
      code: 'invalid-argument',
    });
  });
});

describe('mirrored › life', () => {
  it('starts while one storage is out of reach, and is degraded; not while all are', async () => {
    const unreachable = (): FileStorage => new FileStorage(new Unreachable());
    const files = mirrored(unreachable(), [memoryStorage()]);
    await files.start();
    expect(await files.checkHealth()).toMatchObject({ status: 'degraded' });
    const none = mirrored(unreachable(), [unreachable()]);
    await expect(none.start()).rejects.toMatchObject({ code: 'unavailable' });
    expect(await none.checkHealth()).toMatchObject({ status: 'down' });
  });

  it('does not start with a storage that is set up wrong', async () => {
    const wrong = diskStorage({ directory: '/dev/null/nowhere' });
    await expect(mirrored(memoryStorage(), [wrong]).start()).rejects.toMatchObject({
      code: 'failed-precondition',
    });
  });

  it('needs a secondary', () => {
    expect(() => mirrored(memoryStorage(), [])).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }) as Error,
    );
  });
});
