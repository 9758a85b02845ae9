import assert from 'node:assert/strict';

import { InfrastructureError } from '../../core/index.ts';
import {
  everyByte,
  type MailCase,
  only,
  plain,
  refuses,
  sendAndReceive,
  streamOf,
} from './support.ts';

/** Rules of the mail port: attachments. */
export const attachmentCases: readonly MailCase[] = [
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
      // A code that the adapter would take for one of its own files.
      const broken = Object.assign(new Error('the source broke'), { code: 'ENOENT' });
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield everyByte;
        throw broken;
      }
      await assert.rejects(
        subject.mailer.send({ ...plain, attachments: [{ filename: 'a.bin', content: failing() }] }),
        (error) =>
          InfrastructureError.is(error, 'aborted') &&
          error.outcome === 'not-applied' &&
          !error.retryable &&
          error.message.includes('attachments[0]') &&
          error.cause === broken,
      );
      assert.equal((await subject.received()).length, 0);
    },
  },
];
