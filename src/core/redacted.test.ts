import { inspect } from 'node:util';

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { redact, Redacted, scrubCredentials } from './redacted.ts';

describe('Redacted', () => {
  const secret = new Redacted('hunter2');

  it('reveals its value to whoever asks by name', () => {
    expect(secret.reveal()).toBe('hunter2');
  });

  it.each([
    ['a template', `before ${secret as unknown as string}`],
    ['String()', String(secret)],
    ['JSON', JSON.stringify({ nested: [secret] })],
    ['inspect', inspect({ nested: { secret } }, { depth: 9 })],
    ['inspect with hidden properties', inspect(secret, { showHidden: true, showProxy: true })],
    ['enumeration', JSON.stringify(Object.entries(secret))],
    ['a property read', JSON.stringify(Reflect.ownKeys(secret))],
  ])('does not show its value in %s', (_where, text) => {
    expect(text).not.toContain('hunter2');
  });

  it('leaves a wrapped secret as it is, and wraps a plain one', () => {
    expect(redact(secret)).toBe(secret);
    expect(redact('plain').reveal()).toBe('plain');
  });
});

describe('scrubCredentials', () => {
  it.each([
    ['postgres://app:hunter2@db:5432/shop', 'postgres://[redacted]@db:5432/shop'],
    ['connect redis://:hunter2@cache failed', 'connect redis://[redacted]@cache failed'],
    ['https://token@host/path', 'https://[redacted]@host/path'],
    ['a://u:p@h,b://u:q@i', 'a://[redacted]@i'],
    ['"smtp://u:p%40ss@mail"', '"smtp://[redacted]@mail"'],
    ['postgres://app:p@ss@db/shop', 'postgres://[redacted]@db/shop'],
    ['postgres://app:pa/s?s#w@db/shop', 'postgres://[redacted]@db/shop'],
    ['postgres://app:a://b@db/shop', 'postgres://[redacted]@db/shop'],
    ['GET /x?token=abc&page=2', 'GET /x?token=[redacted]&page=2'],
    ['token=abc', 'token=[redacted]'],
    [
      'https://s3/key?X-Amz-Signature=abc&X-Amz-Date=1',
      'https://s3/key?X-Amz-Signature=[redacted]&X-Amz-Date=1',
    ],
    ['host=db password=hunter2 dbname=shop', 'host=db password=[redacted] dbname=shop'],
    ["password='two words' user=app", 'password=[redacted] user=app'],
    ['{"password":"a\\"b","user":"app"}', '{"password":"[redacted]","user":"app"}'],
    ['Authorization: Bearer abcdefgh.ijkl', 'Authorization: Bearer [redacted]'],
    ['authorization: Basic YXBwOmh1bnRlcjI=', 'authorization: Basic [redacted]'],
  ])('%j becomes %j', (text, scrubbed) => {
    expect(scrubCredentials(text)).toBe(scrubbed);
    expect(scrubCredentials(scrubbed)).toBe(scrubbed);
  });

  it.each([
    'nothing to see',
    'https://example.com/users/a@b.com',
    'https://example.com:8080/@scope/package',
    'http://[::1]:8080/@scope',
    'mail to a@b.com: rejected',
    'C:\\temp\\file: key=value, size=3',
    'sqlite:data/app.db',
  ])('%j stays as it is', (text) => {
    expect(scrubCredentials(text)).toBe(text);
  });

  it('leaves no password of a URL, whatever stands in it', () => {
    const password = fc
      .string({ minLength: 4, maxLength: 60 })
      .map((text) => `q${text.replace(/\s/g, '')}Zq`);
    fc.assert(
      fc.property(password, fc.webPath(), (secret, path) => {
        const scrubbed = scrubCredentials(
          `cannot reach postgres://app:${secret}@db.internal${path} now`,
        );
        expect(scrubbed).not.toContain(secret);
        expect(scrubbed).toMatch(/^cannot reach postgres:\/\/\[redacted\]@/);
      }),
      { seed: 1 },
    );
  });

  it('leaves no value of a parameter named like a secret', () => {
    const value = fc.stringMatching(/^[\w.~+/#;,:@!$()*-]{8,80}$/);
    const name = fc.constantFrom(
      'password',
      'access_token',
      'apiKey',
      'API_KEY',
      'client-secret',
      'sig_signature',
    );
    fc.assert(
      fc.property(name, value, fc.stringMatching(/^[a-z_-]{0,60}$/), (key, secret, prefix) => {
        expect(scrubCredentials(`https://h/p?a=1&${prefix}${key}=${secret}&z=2`)).not.toContain(
          secret,
        );
      }),
      { seed: 2 },
    );
  });

  // No time is asserted: quadratic work on megabytes would run into the test's own timeout of many seconds.
  it.each([
    'a://',
    'a://b:c',
    'token=',
    'password="',
    '"password":"',
    '"token":"\\',
    'bearer a',
    'a@',
    ':',
    'a://[',
    'authorization: ',
  ])('a megabyte of %j takes linear time', (piece) => {
    const text = piece.repeat(Math.ceil(1_000_000 / piece.length));
    expect(scrubCredentials(text).length).toBeGreaterThan(0);
  });
});
