// What no test brings about on a real server in a moment. The rest: the adapters' own tests of errors.
import { describe, expect, test } from 'vitest';

import type { Classification } from '../core/index.ts';
import { NotConnectedError } from './connection.ts';
import { redisClassifier } from './errors.ts';

const classify = redisClassifier({ NOPERM: 'grant it' });
const inScript = 'script: 5f0cda9c3e2f3e3ac7cf0ea5fb8e0f4f2a5b4ab9, on @user_script:12.';
const notNow = { code: 'unavailable', outcome: 'not-applied' } as const;

const answers: readonly (readonly [string, Partial<Classification>])[] = [
  ['LOADING Redis is loading the dataset in memory', notNow],
  ['MASTERDOWN Link with MASTER is down', notNow],
  ['CLUSTERDOWN The cluster is down', notNow],
  ['TRYAGAIN Multiple keys request during rehashing of slot', notNow],
  ['MISCONF Redis is configured to save RDB snapshots, but it is unable to', notNow],
  ['NOREPLICAS Not enough good replicas to write.', notNow],
  ['MOVED 3999 127.0.0.1:6381', { code: 'failed-precondition' }],
  ["NOPERM this user has no permissions to run the 'evalsha' command", { message: 'grant it' }],
  [
    `NOPERM this user has no permissions to run the 'unlink' command ${inScript}`,
    { code: 'permission-denied', outcome: 'unknown', message: 'grant it' },
  ],
  // As Redis 6 tells of an error in a script.
  [
    "ERR Error running script (call to f_0a9a): @user_script:41: @user_script: 41: -OOM command not allowed when used memory > 'maxmemory'.",
    { code: 'resource-exhausted' },
  ],
  [
    'ERR Error running script (call to f_0a9a): @user_script:41: WRONGTYPE Operation against a key',
    { code: 'failed-precondition', outcome: 'unknown' },
  ],
];

describe('redis › errors', () => {
  test.each(answers)('%s', (answer, expected) => {
    expect(classify(new Error(answer))).toMatchObject(expected);
  });

  test.each(answers)('while it connects, nothing is applied: %s', (answer) => {
    expect(classify(new NotConnectedError(new Error(answer)))?.outcome).toBe('not-applied');
  });

  test('encryption that breaks may have broken after a command was sent', () => {
    const broken = Object.assign(new Error('bad record mac'), {
      code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    });
    expect(classify(broken)).toMatchObject({ code: 'unavailable' });
    expect(classify(broken)?.outcome).toBeUndefined();
    expect(classify(new NotConnectedError(broken))).toMatchObject(notNow);
    const untrusted = Object.assign(new Error('x'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(classify(new NotConnectedError(untrusted))).toMatchObject({
      code: 'failed-precondition',
      outcome: 'not-applied',
    });
  });

  test('what it does not know is left to others', () => {
    for (const unknown of [
      new Error('x'),
      new Error('constructor x'),
      new TypeError(''),
      'text',
      undefined,
    ])
      expect(classify(unknown)).toBeUndefined();
  });
});
