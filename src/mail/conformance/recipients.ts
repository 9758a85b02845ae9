import assert from 'node:assert/strict';

import { type MailCase, only, plain, refuses, sendAndReceive } from './support.ts';

/** Rules of the mail port: recipients. */
export const recipientCases: readonly MailCase[] = [
  {
    id: 'send › to, cc and bcc all get the message, and the sender is the envelope’s sender',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        to: ['a@x.example', 'b@x.example'],
        cc: ['c@x.example'],
        bcc: ['d@x.example', 'e@x.example'],
      });
      assert.deepEqual([...message.envelope.to].toSorted(), [
        'a@x.example',
        'b@x.example',
        'c@x.example',
        'd@x.example',
        'e@x.example',
      ]);
      assert.equal(message.envelope.from, 'news@gazette.example');
      assert.deepEqual(
        message.to.map(({ address }) => address),
        ['a@x.example', 'b@x.example'],
      );
      assert.deepEqual(
        message.cc.map(({ address }) => address),
        ['c@x.example'],
      );
    },
  },
  {
    id: 'send › a blind recipient is named nowhere in the message',
    async run(subject) {
      const { raw, headers } = await sendAndReceive(subject, {
        bcc: 'Mallory Blind <mallory.blind@hidden.example>',
      });
      assert.ok(!headers.has('bcc'));
      assert.doesNotMatch(Buffer.from(raw).toString('latin1'), /mallory|blind|hidden/i);
    },
  },
  {
    id: 'send › blind recipients alone are enough',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        to: undefined,
        bcc: ['a@x.example', 'b@x.example'],
      });
      assert.deepEqual([...message.envelope.to].toSorted(), ['a@x.example', 'b@x.example']);
      assert.deepEqual(message.to, []);
    },
  },
  {
    id: 'send › a recipient named twice gets one copy',
    async run(subject) {
      const receipt = await subject.mailer.send({
        ...plain,
        to: ['ada@x.example', 'Ada <ada@X.example>'],
        cc: 'ada@x.example',
        bcc: 'ada@x.example',
      });
      assert.deepEqual(receipt.accepted, ['ada@x.example']);
      assert.deepEqual((await only(subject)).envelope.to, ['ada@x.example']);
    },
  },
  {
    id: 'send › local parts that differ in case are two recipients',
    async run(subject) {
      const message = await sendAndReceive(subject, { to: ['Ada@x.example', 'ada@x.example'] });
      assert.deepEqual([...message.envelope.to].toSorted(), ['Ada@x.example', 'ada@x.example']);
    },
  },
  {
    id: 'send › answers go where replyTo says',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        replyTo: ['Editors <editors@gazette.example>', 'desk@gazette.example'],
      });
      assert.deepEqual(message.replyTo, [
        { name: 'Editors', address: 'editors@gazette.example' },
        { address: 'desk@gazette.example' },
      ]);
    },
  },
  {
    id: 'send › an international domain travels in ASCII',
    async run(subject) {
      const message = await sendAndReceive(subject, { to: 'ada@bücher.example' });
      assert.deepEqual(message.envelope.to, ['ada@xn--bcher-kva.example']);
      assert.deepEqual(message.to, [{ address: 'ada@xn--bcher-kva.example' }]);
    },
  },
  {
    id: 'send › an address that is not ASCII gets the message',
    requires: ['unicodeAddresses'],
    async run(subject) {
      const message = await sendAndReceive(subject, { to: 'grün@bücher.example' });
      assert.deepEqual(message.envelope.to, ['grün@bücher.example']);
      assert.deepEqual(message.to, [{ address: 'grün@bücher.example' }]);
    },
    async unsupported(subject) {
      await refuses(subject, { to: 'grün@bücher.example' }, 'unimplemented');
    },
  },
];
