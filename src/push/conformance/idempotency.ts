import assert from 'node:assert/strict';

import { InfrastructureError } from '../../core/index.ts';
import {
  anyTarget,
  hello,
  manyTargets,
  type PushCase,
  type PushSubject,
  statusesOf,
} from './support.ts';

/** The inverse of every rule about keys: each send is delivered. */
async function deliversEach(subject: PushSubject): Promise<void> {
  const targets = await manyTargets(subject, 2);
  for (const title of ['first', 'second']) {
    const results = await subject.sender.send(targets, { title }, { idempotencyKey: 'k' });
    assert.deepEqual(statusesOf(results), ['delivered', 'delivered']);
  }
  assert.deepEqual((await subject.deliveries()).map(({ content }) => content.title).toSorted(), [
    'first',
    'first',
    'second',
    'second',
  ]);
}

/** Rules of the push port: once, and only once. */
export const idempotencyCases: readonly PushCase[] = [
  {
    id: 'idempotency › a second send with the same key delivers nothing and has the same results',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const targets = await manyTargets(subject, 3);
      const first = await subject.sender.send(targets, hello, { idempotencyKey: 'issue-12' });
      const second = await subject.sender.send(
        targets,
        { title: 'Changed' },
        { idempotencyKey: 'issue-12' },
      );
      assert.deepEqual(second, first);
      const deliveries = await subject.deliveries();
      assert.deepEqual(
        deliveries.map(({ content, idempotencyKey }) => [content.title, idempotencyKey]),
        [
          ['Issue 12 is out', 'issue-12'],
          ['Issue 12 is out', 'issue-12'],
          ['Issue 12 is out', 'issue-12'],
        ],
      );
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › a key counts for each target: those that are new get theirs',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const targets = await manyTargets(subject, 5);
      await subject.sender.send(targets.slice(0, 2), hello, { idempotencyKey: 'k' });
      const results = await subject.sender.send(targets, hello, { idempotencyKey: 'k' });
      assert.deepEqual(new Set(statusesOf(results)), new Set(['delivered']));
      assert.equal((await subject.deliveries()).length, 5);
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › of 20 sends at once with the same key one delivers',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const targets = await manyTargets(subject, 2);
      const all = await Promise.all(
        Array.from(
          { length: 20 },
          async () => await subject.sender.send(targets, hello, { idempotencyKey: 'k' }),
        ),
      );
      for (const results of all) assert.deepEqual(statusesOf(results), ['delivered', 'delivered']);
      assert.equal((await subject.deliveries()).length, 2);
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › keys that differ in anything are different keys',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const keys = [
        'a',
        'A',
        'a ',
        'a/b',
        '../a',
        'ä',
        'a\u0308',
        '🎉',
        'a'.repeat(254),
        'a'.repeat(255),
      ];
      for (const idempotencyKey of keys)
        await subject.sender.send([await anyTarget(subject)], hello, { idempotencyKey });
      assert.deepEqual(
        (await subject.deliveries()).map(({ idempotencyKey }) => idempotencyKey),
        keys,
      );
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › an aborted send leaves its key free',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const targets = [await anyTarget(subject)];
      await assert.rejects(
        subject.sender.send(targets, hello, { idempotencyKey: 'k', signal: AbortSignal.abort() }),
      );
      await subject.sender.send(targets, hello, { idempotencyKey: 'k' });
      assert.equal((await subject.deliveries()).length, 1);
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › an empty, overlong or unprintable key is refused',
    async run(subject) {
      for (const idempotencyKey of ['', 'a'.repeat(256), 'a\nb', '\u0000']) {
        await assert.rejects(
          subject.sender.send([await anyTarget(subject)], hello, { idempotencyKey }),
          (error) => InfrastructureError.is(error, 'invalid-argument'),
        );
      }
      assert.equal((await subject.deliveries()).length, 0);
    },
  },
];
