import { describe, expect, it } from 'vitest';

import { memoryStorage } from '../memory.ts';
import { readOnly } from './read-only.ts';

const urls = {
  baseUrl: 'https://files.example.com/served',
  secret: 'a secret of at least thirty-two characters',
};
const csv = { expiresIn: '5m', maxSize: 100, contentType: 'text/csv' } as const;

describe('read-only', () => {
  it('refuses every write as permission-denied, and nothing of it takes effect', async () => {
    const inner = memoryStorage({ urls });
    await inner.put('a/b', 'x');
    const { token } = await inner.createUpload('u');
    const files = readOnly(inner);
    const writes = {
      put: files.put('c', 'x'),
      delete: files.delete('a/b'),
      deleteMany: files.deleteMany(['a/b']),
      deletePrefix: files.deletePrefix('a/'),
      copy: files.copy('a/b', 'c'),
      move: files.move('a/b', 'c'),
      signedUpload: files.signedUpload('c', csv),
      createUpload: files.createUpload('c'),
    };
    for (const [name, write] of Object.entries(writes))
      await expect(write, name).rejects.toMatchObject({
        code: 'permission-denied',
        outcome: 'not-applied',
        retryable: false,
      });
    expect(() => files.resumeUpload(token)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }) as Error,
    );
    expect([...inner.native.keys()]).toEqual(['a/b']);
  });

  it('serves signed URLs, and takes no upload that the storage below has signed', async () => {
    const inner = memoryStorage({ urls });
    await inner.put('a', 'hello');
    const files = readOnly(inner);
    const serve = files.handler();
    const read = await serve(new Request(await files.signedUrl('a', { expiresIn: '5m' })));
    expect(await read.text()).toBe('hello');
    const { url, headers } = await inner.signedUpload('b', csv);
    const sent = await serve(new Request(url, { method: 'PUT', headers, body: 'x' }));
    expect(sent.status).toBe(405);
    expect(await inner.exists('b')).toBe(false);
  });
});
