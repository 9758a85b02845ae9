import assert from 'node:assert/strict';

import {
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../../core/index.ts';
import { everyByte, type MailCase, plain } from './support.ts';

/** Rules of the mail port: lifecycle. */
export const lifecycleCases: readonly MailCase[] = [
  {
    id: 'cancel › an aborted signal delivers nothing',
    async run({ mailer, received }) {
      await assert.rejects(
        mailer.send(plain, { signal: AbortSignal.abort() }),
        (error) => InfrastructureError.is(error, 'cancelled') && error.outcome === 'not-applied',
      );
      assert.equal((await received()).length, 0);
    },
  },
  {
    id: 'cancel › an abort while an attachment is read delivers nothing and does not wait for it',
    async run({ mailer, received }) {
      const controller = new AbortController();
      async function* hanging(): AsyncGenerator<Uint8Array> {
        yield everyByte;
        controller.abort();
        await new Promise(() => undefined);
      }
      await assert.rejects(
        mailer.send(
          { ...plain, attachments: [{ filename: 'a.bin', content: hanging() }] },
          { signal: controller.signal },
        ),
        (error) => InfrastructureError.is(error, 'cancelled'),
      );
      assert.equal((await received()).length, 0);
    },
  },
  {
    id: 'cancel › a deadline that has passed is told as such',
    async run({ mailer, received }) {
      const signal = AbortSignal.abort(new DOMException('too late', 'TimeoutError'));
      await assert.rejects(mailer.send(plain, { signal }), (error) =>
        InfrastructureError.is(error, 'deadline-exceeded'),
      );
      assert.equal((await received()).length, 0);
    },
  },
  {
    id: 'life › a send after close is refused, and a second close is nothing',
    async run({ mailer }) {
      await mailer.send(plain);
      await mailer.close();
      await mailer.close();
      await assert.rejects(mailer.send(plain), (error) =>
        InfrastructureError.is(error, 'failed-precondition'),
      );
    },
  },
  {
    id: 'life › health is ok while the engine works and down after close',
    async run({ mailer }) {
      assert.deepEqual(await mailer.checkHealth(), { status: 'ok' });
      await mailer.close();
      assert.equal((await mailer.checkHealth()).status, 'down');
    },
  },
  {
    id: 'event › a send is one operation, with numbers and without addresses, subject or body',
    async run({ mailer }) {
      const events: OperationEvent[] = [];
      const unsubscribe = subscribeToOperations({
        end(event) {
          // Other tests of the process may send too.
          if (event.component === 'mail' && event.attributes['recipients'] === 3)
            events.push(event);
        },
      });
      try {
        await mailer.send({
          ...plain,
          cc: 'secret.cc@x.example',
          bcc: 'secret.bcc@x.example',
          attachments: [{ filename: 'secret.txt', content: 'secret' }],
        });
      } finally {
        unsubscribe();
      }
      assert.equal(events.length, 1);
      const { attributes, operation } = events[0] as OperationEvent;
      assert.equal(operation, 'send');
      assert.equal(attributes['adapter'], mailer.adapter);
      assert.equal(attributes['attachments'], 1);
      assert.equal(attributes['accepted'], 3);
      assert.ok(Number(attributes['size']) > 100);
      assert.doesNotMatch(JSON.stringify(attributes), /example|secret|Hello/);
    },
  },
];
