import { describe, expect, it } from 'vitest';

import { memoryStorage } from '../memory.ts';
import { prefixed } from './prefixed.ts';

describe('prefixed', () => {
  it('holds what is below the prefix, and nothing beside it', async () => {
    const inner = memoryStorage();
    await inner.put('tenants/70/secret', 'x');
    await inner.put('tenants/secret', 'x');
    const files = prefixed(inner, 'tenants/7/');
    await files.put('a/b', 'mine');
    expect(await files.list()).toMatchObject({ files: [{ key: 'a/b' }], prefixes: [] });
    expect((await files.list({ delimiter: '/' })).prefixes).toEqual(['a/']);
    expect(inner.native.has('tenants/7/a/b')).toBe(true);
    for (const key of ['../70/secret', '../secret', '/tenants/70/secret', 'a/../../70/secret'])
      await expect(files.get(key)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(await files.deletePrefix('a')).toBe(1);
    expect(await inner.exists('tenants/70/secret')).toBe(true);
  });

  it('says nothing of the prefix in errors, which keep code, outcome, details and cause', async () => {
    const inner = memoryStorage({ maxBytes: 5 });
    const files = prefixed(prefixed(inner, 'outer/'), 'tenants/7/');
    const error = await files.get('nope').catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'not-found',
      adapter: 'prefixed(prefixed(memory))',
      operation: 'get',
      message: 'there is no file "nope"',
    });
    await expect(files.put('a', 'too much')).rejects.toMatchObject({
      code: 'resource-exhausted',
      retryable: false,
      outcome: 'not-applied',
    });
    await files.put('a', 'hello');
    inner.native.get('outer/tenants/7/a')?.bytes.fill(0);
    await expect((await files.get('a')).text()).rejects.toMatchObject({
      code: 'data-loss',
      details: { key: 'a' },
      message: expect.stringMatching(/^"a" is corrupt/) as unknown,
    });
  });

  it('refuses an upload of the same storage that is outside of it', async () => {
    const inner = memoryStorage();
    const other = await prefixed(inner, 'tenants/8/').createUpload('a');
    const state = { token: (await inner.createUpload('tenants/8/a')).token };
    const facts = JSON.parse(Buffer.from(other.token, 'base64url').toString()) as object;
    const token = Buffer.from(JSON.stringify({ ...facts, state })).toString('base64url');
    const upload = prefixed(inner, 'tenants/7/').resumeUpload(token);
    await expect(upload.putPart(1, 'x')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('refuses a prefix that no key could have, or that names would share', () => {
    for (const prefix of ['', 'a', '/a/', '../', 'a//', '.underpin/'])
      expect(() => prefixed(memoryStorage(), prefix), prefix).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }) as Error,
      );
  });

  it('leaves the storage below to its owner', async () => {
    const inner = memoryStorage();
    await inner.put('a/b', 'x');
    await prefixed(inner, 'a/').close();
    expect(await inner.exists('a/b')).toBe(true);
  });
});
