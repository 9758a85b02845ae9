import assert from 'node:assert/strict';

import { type MailCase, type MailSubject, only, plain, refuses } from './support.ts';

/** The inverse of every rule about keys: each send is delivered, and one key has one `Message-ID`. */
async function deliversEach({ mailer, received }: MailSubject): Promise<void> {
  const first = await mailer.send({ ...plain, idempotencyKey: 'k' });
  const second = await mailer.send({ ...plain, subject: 'Again', idempotencyKey: 'k' });
  const other = await mailer.send({ ...plain, idempotencyKey: 'K' });
  assert.equal(second.id, first.id);
  assert.notEqual(other.id, first.id);
  assert.deepEqual(
    (await received()).map(({ headers }) => headers.get('message-id')),
    [first, second, other].map(({ id }) => [`<${id}>`]),
  );
}

/** Rules of the mail port: idempotency. */
export const idempotencyCases: readonly MailCase[] = [
  {
    id: 'idempotency › a second send with the same key delivers nothing and gives the first receipt',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const first = await subject.mailer.send({ ...plain, idempotencyKey: 'article-1/reader-1' });
      const second = await subject.mailer.send({ ...plain, idempotencyKey: 'article-1/reader-1' });
      assert.deepEqual(second, first);
      const message = await only(subject);
      assert.equal(message.id, first.id);
      assert.equal(message.idempotencyKey, 'article-1/reader-1');
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › the first message stays when a later one with its key differs',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const first = await subject.mailer.send({ ...plain, subject: 'first', idempotencyKey: 'k' });
      const second = await subject.mailer.send({
        ...plain,
        subject: 'second',
        to: 'bob@readers.example',
        from: 'x@other.example',
        idempotencyKey: 'k',
      });
      assert.deepEqual(second, first);
      assert.equal((await only(subject)).subject, 'first');
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › one of 20 sends at once with the same key delivers, and all get its receipt',
    requires: ['idempotencyKeys'],
    async run(subject) {
      const receipts = await Promise.all(
        Array.from(
          { length: 20 },
          async (_, index) =>
            await subject.mailer.send({
              ...plain,
              to: `reader${index}@x.example`,
              idempotencyKey: 'k',
            }),
        ),
      );
      const { id, envelope } = await only(subject);
      for (const receipt of receipts)
        assert.deepEqual(receipt, { id, accepted: envelope.to, rejected: [] });
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › keys that differ in anything are different keys',
    requires: ['idempotencyKeys'],
    async run({ mailer, received }) {
      const keys = [
        'a',
        'A',
        'a ',
        ' a',
        'a/b',
        'a\\b',
        '../a',
        '.',
        'ä',
        'a\u0308',
        '🎉',
        'a'.repeat(254),
        'a'.repeat(255),
      ];
      for (const idempotencyKey of keys) await mailer.send({ ...plain, idempotencyKey });
      assert.deepEqual(
        (await received()).map(({ idempotencyKey }) => idempotencyKey),
        keys,
      );
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › a refused or aborted send leaves its key free',
    requires: ['idempotencyKeys'],
    async run(subject) {
      await refuses(subject, { subject: 'a\nb', idempotencyKey: 'k' });
      await assert.rejects(
        subject.mailer.send({ ...plain, idempotencyKey: 'k' }, { signal: AbortSignal.abort() }),
      );
      await subject.mailer.send({ ...plain, subject: 'third', idempotencyKey: 'k' });
      assert.equal((await only(subject)).subject, 'third');
    },
    unsupported: deliversEach,
  },
  {
    id: 'idempotency › an empty or overlong key is refused',
    async run(subject) {
      await refuses(subject, { idempotencyKey: '' });
      await refuses(subject, { idempotencyKey: 'a'.repeat(256) });
    },
  },
];
