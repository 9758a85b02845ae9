import assert from 'node:assert/strict';

import { type MailCase, only, plain, refuses, sendAndReceive } from './support.ts';

/** Rules of the mail port: send. */
export const sendCases: readonly MailCase[] = [
  {
    id: 'send › a message arrives with its sender, recipient, subject, text and date',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        from: 'Gazette <news@gazette.example>',
        to: 'Ada Lovelace <ada@readers.example>',
      });
      assert.deepEqual(message.from, { name: 'Gazette', address: 'news@gazette.example' });
      assert.deepEqual(message.to, [{ name: 'Ada Lovelace', address: 'ada@readers.example' }]);
      assert.equal(message.subject, 'Hello');
      assert.equal(message.text, 'Hello Ada.');
      assert.equal(message.html, undefined);
      assert.deepEqual(message.attachments, []);
      assert.ok(
        !Number.isNaN(Date.parse(message.headers.get('date')?.[0] ?? '')),
        'there is no Date header',
      );
    },
  },
  {
    id: 'send › the receipt has the Message-ID and every recipient as accepted',
    async run(subject) {
      const receipt = await subject.mailer.send({
        ...plain,
        to: ['Ada <ada@readers.example>', 'bob@Readers.EXAMPLE'],
        cc: 'carol@readers.example',
      });
      const message = await only(subject);
      assert.deepEqual(message.headers.get('message-id'), [`<${receipt.id}>`]);
      assert.equal(message.id, receipt.id);
      assert.deepEqual([...receipt.accepted].toSorted(), [
        'ada@readers.example',
        'bob@readers.example',
        'carol@readers.example',
      ]);
      assert.deepEqual(receipt.rejected, []);
    },
  },
  {
    id: 'send › text and HTML arrive together',
    async run(subject) {
      const message = await sendAndReceive(subject, { text: 'plain', html: '<p>rich</p>' });
      assert.equal(message.text, 'plain');
      assert.equal(message.html, '<p>rich</p>');
      assert.match(message.headers.get('content-type')?.[0] ?? '', /^multipart\/alternative/);
    },
  },
  {
    id: 'send › HTML alone arrives without a text',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        text: undefined,
        html: '<p>rich</p>',
      });
      assert.equal(message.html, '<p>rich</p>');
      assert.equal(message.text, undefined);
    },
  },
  {
    id: 'send › Unicode in names, subject and bodies arrives',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        from: { name: 'Zeitung “Morgen”', address: 'news@gazette.example' },
        to: { name: 'Ådá, 爱达 🎉', address: 'ada@readers.example' },
        subject: 'Grüße aus Zürich 🎉 — 第三号',
        text: 'Straße, naïve, 日本語, 🎉',
        html: '<p>Straße, naïve, 日本語, 🎉</p>',
      });
      assert.equal(message.from.name, 'Zeitung “Morgen”');
      assert.equal(message.to[0]?.name, 'Ådá, 爱达 🎉');
      assert.equal(message.subject, 'Grüße aus Zürich 🎉 — 第三号');
      assert.equal(message.text, 'Straße, naïve, 日本語, 🎉');
      assert.equal(message.html, '<p>Straße, naïve, 日本語, 🎉</p>');
    },
  },
  {
    id: 'send › a subject as long as it may be arrives whole',
    async run(subject) {
      const long = 'ä long subject '.repeat(66).trimEnd();
      assert.equal((await sendAndReceive(subject, { subject: long })).subject, long);
    },
  },
  {
    id: 'send › a subject that looks like an encoded word arrives as it is, and such a name is refused',
    async run(subject) {
      await refuses(subject, { to: { name: '=?utf-8?B?eA==?=', address: 'ada@readers.example' } });
      await refuses(subject, { from: '=?utf-8?B?eA==?= <news@gazette.example>' });
      assert.equal(
        (await sendAndReceive(subject, { subject: '=?utf-8?Q?x?= and more' })).subject,
        '=?utf-8?Q?x?= and more',
      );
    },
  },
  {
    id: 'send › long lines, dots at their start and "From " arrive unchanged',
    async run(subject) {
      const text = `.\n..\nFrom here\n.leading\n${'long '.repeat(2000)}end\n=20=3D\n\ttab  spaces   inside`;
      assert.equal((await sendAndReceive(subject, { text })).text, text);
    },
  },
  {
    id: 'send › line breaks of every kind arrive as line breaks',
    async run(subject) {
      assert.equal(
        (await sendAndReceive(subject, { text: 'a\r\nb\nc\n\nd' })).text,
        'a\nb\nc\n\nd',
      );
    },
  },
  {
    id: 'send › the lines of the delivered message end in CRLF',
    async run(subject) {
      const { raw } = await sendAndReceive(subject, { text: 'a\nb', html: '<p>\n</p>' });
      assert.doesNotMatch(Buffer.from(raw).toString('latin1'), /[^\r]\n|\r[^\n]/);
    },
  },
  {
    id: 'send › headers arrive, several values as several lines',
    async run(subject) {
      const { headers } = await sendAndReceive(subject, {
        headers: {
          'X-Campaign': 'spring',
          'X-Tag': ['one', 'two'],
          'In-Reply-To': '<first@gazette.example>',
        },
      });
      assert.deepEqual(headers.get('x-campaign'), ['spring']);
      assert.deepEqual(headers.get('x-tag'), ['one', 'two']);
      assert.deepEqual(headers.get('in-reply-to'), ['<first@gazette.example>']);
    },
  },
  {
    id: 'send › unsubscribe gives the headers of one-click',
    async run(subject) {
      const { headers } = await sendAndReceive(subject, {
        unsubscribe: {
          url: 'https://gazette.example/unsubscribe?token==?utf-8?Q?a?=&list=1',
          mailto: 'leave@gazette.example',
        },
      });
      assert.deepEqual(
        headers.get('list-unsubscribe')?.map((value) => value.replaceAll(/\s+/g, ' ')),
        [
          '<https://gazette.example/unsubscribe?token==?utf-8?Q?a?=&list=1>, <mailto:leave@gazette.example>',
        ],
      );
      assert.deepEqual(headers.get('list-unsubscribe-post'), ['List-Unsubscribe=One-Click']);
    },
  },
  {
    id: 'send › messages arrive in the order in which they were sent',
    async run({ mailer, received }) {
      const subjects = Array.from({ length: 12 }, (_, index) => `number ${index}`);
      for (const subject of subjects) await mailer.send({ ...plain, subject });
      assert.deepEqual(
        (await received()).map(({ subject }) => subject),
        subjects,
      );
    },
  },
  {
    id: 'send › messages sent at once all arrive, each under an id of its own',
    async run({ mailer, received }) {
      const receipts = await Promise.all(
        Array.from(
          { length: 30 },
          async (_, index) => await mailer.send({ ...plain, subject: `number ${index}` }),
        ),
      );
      assert.equal(new Set(receipts.map(({ id }) => id)).size, 30);
      assert.deepEqual(
        new Set((await received()).map(({ id }) => id)),
        new Set(receipts.map(({ id }) => id)),
      );
    },
  },
  {
    id: 'send › equal messages without a key are as many deliveries',
    async run({ mailer, received }) {
      await mailer.send(plain);
      await mailer.send(plain);
      assert.equal((await received()).length, 2);
    },
  },
];
