import { expect, test } from 'vitest';

import { redact } from '../core/index.ts';
import { parseRedisUrl } from './options.ts';

test('redis › url › all but the host may be left out', () => {
  expect(parseRedisUrl(redact('redis://h'), 'cache')).toEqual({
    host: 'h',
    port: 6379,
    isTls: false,
    database: 0,
    username: 'default',
    password: undefined,
    prefix: undefined,
  });
});

test('redis › url › IPv6 addresses and escaped characters are told', () => {
  const { password, ...rest } = parseRedisUrl(
    redact('rediss://us%40r:p%40%2F@[::1]:1/2?prefix=a%3Ab'),
    'cache',
  );
  expect(rest).toEqual({
    host: '::1',
    port: 1,
    isTls: true,
    database: 2,
    username: 'us@r',
    prefix: 'a:b',
  });
  expect(password?.reveal()).toBe('p@/');
});

test.each([
  'no url',
  'http://h',
  'redis://',
  'redis://h/a',
  'redis://h/1/2',
  'redis://h?x=1',
  'redis://h?prefix=a&x=1',
  'redis://h?prefix=a&prefix=b',
  'redis://h#x',
  'redis://u:canary%@h',
  'redis://canary@h',
])('redis › url › %s is refused, and not repeated', (url) => {
  const parse = (): unknown => parseRedisUrl(redact(url), 'cache');
  expect(parse).toThrow(
    expect.objectContaining({ code: 'invalid-argument', component: 'cache', adapter: 'redis' }),
  );
  expect(parse).not.toThrow(/canary/);
});
