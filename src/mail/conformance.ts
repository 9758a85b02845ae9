import assert from 'node:assert/strict';

import {
  type ConformanceCase,
  type ConformanceSuite,
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../core/index.ts';
import type { MailCapabilities } from './driver.ts';
import type { Mailer } from './mail.ts';
import type { MailMessage } from './message.ts';
import type { ReceivedMail } from './received.ts';

/** What the suite is run on. */
export interface MailSubject {
  /** A mailer with the default limits. */
  readonly mailer: Mailer;
  /** Every delivery so far, in order: one for each message that the engine took over. */
  readonly received: () => Promise<readonly ReceivedMail[]>;
}

type Capability = keyof MailCapabilities;
type MailCase = ConformanceCase<MailSubject, Capability>;

const plain: MailMessage = {
  from: 'news@gazette.example',
  to: 'ada@readers.example',
  subject: 'Hello',
  text: 'Hello Ada.',
};

async function only({ received }: MailSubject): Promise<ReceivedMail> {
  const all = await received();
  assert.equal(all.length, 1, `${all.length} messages were delivered`);
  const [message] = all;
  assert.ok(message);
  return message;
}

async function sendAndReceive(
  subject: MailSubject,
  fields: Partial<MailMessage>,
): Promise<ReceivedMail> {
  await subject.mailer.send({ ...plain, ...fields } as MailMessage);
  return await only(subject);
}

async function refuses(
  subject: MailSubject,
  fields: object,
  code: InfrastructureError['code'] = 'invalid-argument',
): Promise<void> {
  const hint = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Uint8Array ? '(bytes)' : value,
  )?.slice(0, 200);
  await assert.rejects(
    subject.mailer.send({ ...plain, ...fields }),
    (error) =>
      InfrastructureError.is(error, code) &&
      error.component === 'mail' &&
      error.operation === 'send' &&
      error.outcome === 'not-applied',
    `not refused as ${code}: ${hint}`,
  );
  assert.equal((await subject.received()).length, 0, `refused and delivered all the same: ${hint}`);
}

async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);

const sending: readonly MailCase[] = [
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
  {
    id: 'send › attachments arrive byte for byte, in order, empty ones too',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        attachments: [
          { filename: 'bytes.bin', content: everyByte },
          { filename: 'empty.bin', content: new Uint8Array() },
          {
            filename: 'notes.txt',
            content: 'Grüße\nline two',
            contentType: 'text/plain; charset=utf-8',
          },
        ],
      });
      assert.equal(message.text, 'Hello Ada.');
      assert.deepEqual(
        message.attachments.map(({ filename }) => filename),
        ['bytes.bin', 'empty.bin', 'notes.txt'],
      );
      assert.deepEqual(
        message.attachments.map(({ content }) => Buffer.from(content)),
        [Buffer.from(everyByte), Buffer.alloc(0), Buffer.from('Grüße\nline two')],
      );
      assert.equal(message.attachments[2]?.contentType, 'text/plain');
    },
  },
  {
    id: 'send › an attachment’s type follows its name unless it is given',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        attachments: [
          { filename: 'picture.png', content: everyByte },
          { filename: 'data.unknownextension', content: everyByte },
          { filename: 'feed', content: everyByte, contentType: 'application/atom+xml' },
        ],
      });
      assert.deepEqual(
        message.attachments.map(({ contentType }) => contentType),
        ['image/png', 'application/octet-stream', 'application/atom+xml'],
      );
    },
  },
  {
    id: 'send › an attachment’s Unicode name arrives',
    async run(subject) {
      const filename = 'Übersicht; “März” (日本).pdf';
      const message = await sendAndReceive(subject, {
        attachments: [{ filename, content: everyByte }],
      });
      assert.equal(message.attachments[0]?.filename, filename);
    },
  },
  {
    id: 'send › an attachment may be a stream',
    async run(subject) {
      const web = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(everyByte);
          controller.close();
        },
      });
      const message = await sendAndReceive(subject, {
        attachments: [
          {
            filename: 'a.bin',
            content: streamOf(
              everyByte.subarray(0, 100),
              new Uint8Array(),
              everyByte.subarray(100),
            ),
          },
          { filename: 'b.bin', content: web },
        ],
      });
      for (const { content } of message.attachments)
        assert.deepEqual(Buffer.from(content), Buffer.from(everyByte));
      assert.equal(message.attachments.length, 2);
    },
  },
  {
    id: 'send › an inline image arrives under its content id',
    async run(subject) {
      const message = await sendAndReceive(subject, {
        html: '<img src="cid:logo@gazette">',
        attachments: [
          {
            filename: 'logo.png',
            content: everyByte,
            contentType: 'image/png',
            contentId: 'logo@gazette',
          },
        ],
      });
      assert.equal(message.attachments[0]?.contentId, 'logo@gazette');
      assert.deepEqual(Buffer.from(message.attachments[0].content), Buffer.from(everyByte));
      assert.match(Buffer.from(message.raw).toString('latin1'), /Content-Disposition: inline/);
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
    id: 'send › a message of 5 MiB arrives whole',
    async run(subject) {
      const content = new Uint8Array(5 * 1024 ** 2);
      for (let index = 0; index < content.length; index += 4093) content[index] = index % 251;
      const message = await sendAndReceive(subject, {
        attachments: [{ filename: 'large.bin', content }],
      });
      assert.ok(
        message.attachments[0] && Buffer.from(content).equals(message.attachments[0].content),
      );
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
  {
    id: 'send › what is done later to the sender’s or a reader’s bytes changes nothing',
    async run(subject) {
      const content = everyByte.slice();
      const first = await sendAndReceive(subject, {
        attachments: [{ filename: 'a.bin', content }],
      });
      content.fill(0);
      first.raw.fill(0);
      const second = await only(subject);
      assert.deepEqual(Buffer.from(second.attachments[0]?.content ?? []), Buffer.from(everyByte));
    },
  },
];

const refusing: readonly MailCase[] = [
  {
    id: 'refuse › a message without a recipient',
    async run(subject) {
      await refuses(subject, { to: undefined });
      await refuses(subject, { to: [], cc: [], bcc: [] });
    },
  },
  {
    id: 'refuse › a message without a body',
    async run(subject) {
      await refuses(subject, { text: undefined });
    },
  },
  {
    id: 'refuse › a line break or another control character in anything that becomes a header',
    async run(subject) {
      const attachment = { filename: 'a.txt', content: 'a' };
      for (const bad of [
        '\r\nBcc: eve@evil.example',
        '\nBcc: eve@evil.example',
        '\rx',
        '\u0000',
        '\u007f',
        '\u0085',
        '\u2028x',
      ]) {
        await refuses(subject, { subject: `Hello${bad}` });
        await refuses(subject, { to: `ada@readers.example${bad}` });
        await refuses(subject, { to: `Ada${bad} <ada@readers.example>` });
        await refuses(subject, { cc: { name: `Ada${bad}`, address: 'ada@readers.example' } });
        await refuses(subject, { bcc: [{ address: `ada@readers.example${bad}` }] });
        await refuses(subject, { from: { name: `News${bad}`, address: 'news@gazette.example' } });
        await refuses(subject, { replyTo: `desk@gazette.example${bad}` });
        await refuses(subject, { headers: { 'X-Tag': `a${bad}` } });
        await refuses(subject, { headers: { 'X-Tag': ['a', `b${bad}`] } });
        await refuses(subject, { headers: { [`X-Tag${bad}`]: 'a' } });
        await refuses(subject, { attachments: [{ ...attachment, filename: `a${bad}.txt` }] });
        await refuses(subject, {
          attachments: [{ ...attachment, contentType: `text/plain${bad}` }],
        });
        await refuses(subject, { attachments: [{ ...attachment, contentId: `a${bad}` }] });
        await refuses(subject, { unsubscribe: { url: `https://gazette.example/${bad}` } });
        await refuses(subject, {
          unsubscribe: { url: 'https://gazette.example/', mailto: `leave@gazette.example${bad}` },
        });
        await refuses(subject, { idempotencyKey: `key${bad}` });
      }
    },
  },
  {
    id: 'refuse › a string that is not exactly one address',
    async run(subject) {
      const bad = [
        '',
        ' ',
        'ada',
        '@readers.example',
        'ada@',
        'a@b.example, c@d.example',
        'a@b.example; c@d.example',
        'a@b.example c@d.example',
        'Team: a@b.example;',
        'a b@c.example',
        'a@b@c.example',
        '"a b"@c.example',
        'a..b@c.example',
        '>b@c.example',
        'a<b@c.example',
        '.a@b.example',
        'a@b..example',
        'a@-b.example',
        'a@b.example.',
        'a@[127.0.0.1]',
        'a@127.0.0.1',
        'a@%41.example',
        'a@b.example (x)',
        'A <a@b.example> x',
        'A <a@b.example> <c@d.example>',
        '<a@b.example>, <c@d.example>',
        `${'a'.repeat(65)}@b.example`,
        `a@${'b'.repeat(64)}.example`,
        `a@${'b.'.repeat(150)}example`,
      ];
      for (const address of bad) {
        await refuses(subject, { to: address });
        await refuses(subject, { to: ['ada@readers.example', address] });
        await refuses(subject, { to: { name: 'Ada', address } });
      }
      for (const value of [
        null,
        7,
        {},
        { address: 7 },
        { name: 'Ada' },
        ['a@b.example', ['c@d.example']],
      ])
        await refuses(subject, { to: value });
    },
  },
  {
    id: 'refuse › a header that has a field of its own or belongs to the mail system',
    async run(subject) {
      for (const name of [
        'From',
        'to',
        'BCC',
        'Subject',
        'Date',
        'Message-ID',
        'Content-Type',
        'MIME-Version',
        'List-Unsubscribe',
        'Return-Path',
        'Received',
        'DKIM-Signature',
        'Resent-To',
      ]) {
        await refuses(subject, { headers: { [name]: 'x' } });
      }
      for (const name of ['', 'X Tag', 'X-Tag:', '-X', 'Überschrift'])
        await refuses(subject, { headers: { [name]: 'x' } });
    },
  },
  {
    id: 'refuse › an unsubscribe URL that is not https, or shows credentials',
    async run(subject) {
      for (const url of [
        'http://gazette.example/u',
        '/u',
        'javascript:alert(1)',
        'mailto:a@b.example',
        'https://user:pass@gazette.example/u',
        'https://',
        '',
      ]) {
        await refuses(subject, { unsubscribe: { url } });
      }
    },
  },
  {
    id: 'refuse › an attachment with a path for a name, a bad type, or content that names a file or URL',
    async run(subject) {
      for (const filename of ['', '../a.txt', '/etc/passwd', 'a\\b.txt'])
        await refuses(subject, { attachments: [{ filename, content: 'x' }] });
      for (const contentType of [
        '',
        'text',
        'multipart/mixed',
        'text/html; charset="x',
        'text/plain\tx',
      ])
        await refuses(subject, { attachments: [{ filename: 'a', content: 'x', contentType }] });
      for (const contentId of ['', 'a b', '<a>'])
        await refuses(subject, { attachments: [{ filename: 'a', content: 'x', contentId }] });
      for (const content of [
        undefined,
        null,
        7,
        { path: '/etc/passwd' },
        { href: 'http://127.0.0.1/' },
      ])
        await refuses(subject, { attachments: [{ filename: 'a', content }] });
      for (const body of [{ path: '/etc/passwd' }, { href: 'http://127.0.0.1/' }, 7])
        await refuses(subject, { text: body });
    },
  },
  {
    id: 'refuse › more than a thousand recipients',
    async run(subject) {
      await refuses(subject, {
        to: Array.from({ length: 1001 }, (_, index) => `reader${index}@x.example`),
      });
    },
  },
  {
    id: 'refuse › a message over the size limit, without reading an endless attachment to its end',
    async run(subject) {
      let isReleased = false;
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          const chunk = new Uint8Array(1024 ** 2);
          for (;;) yield chunk;
        } finally {
          isReleased = true;
        }
      }
      await refuses(
        subject,
        { attachments: [{ filename: 'endless.bin', content: endless() }] },
        'resource-exhausted',
      );
      assert.ok(isReleased, 'the stream was not released');
    },
  },
  {
    id: 'refuse › a message whose attachment fails while it is read',
    async run(subject) {
      const broken = new Error('the source broke');
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield everyByte;
        throw broken;
      }
      await assert.rejects(
        subject.mailer.send({ ...plain, attachments: [{ filename: 'a.bin', content: failing() }] }),
        (error) => InfrastructureError.is(error) && error.cause === broken,
      );
      assert.equal((await subject.received()).length, 0);
    },
  },
];

const onceOnly: readonly MailCase[] = [
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
    async unsupported(subject) {
      await refuses(subject, { idempotencyKey: 'article-1/reader-1' }, 'unimplemented');
    },
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
    async unsupported(subject) {
      await refuses(subject, { idempotencyKey: 'k' }, 'unimplemented');
    },
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
    async unsupported(subject) {
      await refuses(subject, { idempotencyKey: 'k' }, 'unimplemented');
    },
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
    async unsupported(subject) {
      await refuses(subject, { idempotencyKey: 'a' }, 'unimplemented');
    },
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
    async unsupported(subject) {
      await refuses(subject, { idempotencyKey: 'k' }, 'unimplemented');
    },
  },
  {
    id: 'idempotency › an empty or overlong key is refused',
    async run(subject) {
      await refuses(subject, { idempotencyKey: '' });
      await refuses(subject, { idempotencyKey: 'a'.repeat(256) });
    },
  },
];

const living: readonly MailCase[] = [
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

/** The rules of the mail port. */
export const mailConformance: ConformanceSuite<MailSubject, Capability> = {
  port: 'mail',
  cases: [...sending, ...refusing, ...onceOnly, ...living],
};
