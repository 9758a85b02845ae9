import {
  CopyObjectCommand,
  DeleteBucketPolicyCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { makeBucket, type TestBucket } from '../../../test/services/buckets.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { mebibyte, mebibytes } from '../../../test/storage/content.ts';
import { failureOf } from '../../../test/support/failure.ts';
import type { FileStorage } from '../storage.ts';
import { s3Storage, type S3StorageDriver } from './index.ts';

const { missing } = await service('s3');

describe.skipIf(missing)('storage s3 › on a real server', () => {
  let bucket: TestBucket;
  let files: FileStorage<S3StorageDriver>;
  let Bucket: string;

  beforeEach(async () => {
    bucket = await makeBucket((await sharedServer('s3')).url);
    Bucket = bucket.options.bucket;
    files = s3Storage(bucket.options);
  });
  afterEach(async () => {
    await files.close();
    await bucket.remove();
  });

  /** Every object of the bucket, those that no list shows too. */
  async function objects(): Promise<(string | undefined)[]> {
    const { Contents = [] } = await files.native.send(new ListObjectsV2Command({ Bucket }));
    return Contents.map(({ Key }) => Key);
  }

  /** Takes these rights from everybody, as if the credentials had never had them. */
  async function deny(...actions: readonly string[]): Promise<void> {
    const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`];
    const Statement = [{ Effect: 'Deny', Principal: '*', Action: actions, Resource }];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await files.native.send(new PutBucketPolicyCommand({ Bucket, Policy }));
  }

  describe('uploads with a condition', () => {
    it('leave nothing but the file', async () => {
      const upload = await files.createUpload('a', { ifNoneMatch: '*' });
      await upload.putPart(1, 'hello');
      await upload.complete();
      expect(await objects()).toEqual(['a']);
    });

    it('whose condition fails can be completed later, and leave nothing when they are aborted', async () => {
      await files.put('a', 'other');
      const upload = await files.createUpload('a', { ifNoneMatch: '*', metadata: { by: 'ann' } });
      await upload.putPart(1, 'hello');
      const error = await failureOf(upload.complete());
      expect([error.code, error.outcome]).toEqual(['already-exists', 'not-applied']);
      const resumed = files.resumeUpload(upload.token);
      expect(await resumed.parts()).toEqual([{ number: 1, size: 5 }]);
      await files.delete('a');
      expect((await resumed.complete()).metadata).toEqual({ by: 'ann' });
      expect(await (await files.get('a')).text()).toBe('hello');
      expect(await objects()).toEqual(['a']);
      const late = await files.createUpload('a', { ifNoneMatch: '*' });
      await late.putPart(1, 'late');
      await failureOf(late.complete());
      await late.abort();
      expect(await objects()).toEqual(['a']);
    });

    it('are shown by no list while they wait, and deleted by no prefix', async () => {
      for (const key of ['!first', 'a', 'b']) await files.put(key, 'x');
      for (let index = 0; index < 3; index += 1) {
        const upload = await files.createUpload('a', { ifNoneMatch: '*' });
        await upload.putPart(1, 'hello');
        await failureOf(upload.complete());
      }
      expect(await objects()).toHaveLength(6);
      for (const limit of [1, 2, 3, 1000]) {
        const found: string[] = [];
        for (let after: string | undefined, isLast = false; !isLast;) {
          const page = await files.list({ limit, delimiter: '/', ...(after && { after }) });
          expect(page.prefixes).toEqual([]);
          found.push(...page.files.map(({ key }) => key));
          after = page.next;
          isLast = after === undefined;
        }
        expect(found).toEqual(['!first', 'a', 'b']);
      }
      expect(await files.deletePrefix('.')).toBe(0);
      expect(await objects()).toHaveLength(6);
    });

    it('of more than S3 takes in one request are refused before anything is sent', async () => {
      const partSize = 5 * 2 ** 20;
      const upload = await files.createUpload('a', { ifNoneMatch: '*', partSize });
      const error = await failureOf(upload.putPart(1025, 'x'));
      expect([error.code, await upload.parts()]).toEqual(['invalid-argument', []]);
      await upload.abort();
    });
  });

  it('a part that was changed on the way is refused, and is not kept', async () => {
    const upload = await files.createUpload('a');
    files.native.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          const request = args.request as { body: unknown };
          if (commandName === UploadPartCommand.name) request.body = Buffer.from('hellO');
          return await next(args);
        },
      { step: 'finalizeRequest', priority: 'low', name: 'corrupt' },
    );
    expect((await failureOf(upload.putPart(1, 'hello'))).code).toBe('data-loss');
    files.native.middlewareStack.remove('corrupt');
    expect(await upload.parts()).toEqual([]);
    await upload.abort();
  });

  describe('integrity of a long stream without a checksum', () => {
    it('its content is held against its etag, in one piece and as a stream', async () => {
      const info = await files.put('big', mebibytes(19), { metadata: { a: 'b' } });
      expect([info.sha256, info.metadata]).toEqual([undefined, { a: 'b' }]);
      expect((await (await files.get('big')).bytes()).byteLength).toBe(19 * mebibyte);
      // Another content under the facts of the first, which has parts of the same number.
      const { Metadata } = await files.native.send(new GetObjectCommand({ Bucket, Key: 'big' }));
      expect(Metadata?.['underpin.part-size']).toBe(String(8 * mebibyte));
      const broken = { ...Metadata, 'underpin.part-size': String(9 * mebibyte) };
      await files.native.send(
        new CopyObjectCommand({
          Bucket,
          Key: 'broken',
          CopySource: `${Bucket}/big`,
          MetadataDirective: 'REPLACE',
          Metadata: broken,
        }),
      );
      const file = await files.get('broken');
      const error = await failureOf(file.bytes());
      expect([error.code, error.message]).toEqual([
        'data-loss',
        expect.stringContaining('"broken" is corrupt'),
      ]);
      const read = Array.fromAsync((await files.get('broken')).stream());
      expect((await failureOf(read)).code).toBe('data-loss');
      const part = await files.get('broken', { range: { start: 0, end: 9 } });
      expect((await part.bytes()).byteLength).toBe(10);
    });

    it('one that is cancelled before it is read gives its connection back', async () => {
      await files.put('big', mebibytes(9));
      // As many as the SDK has connections, and some more.
      for (let index = 0; index < 60; index += 1) await (await files.get('big')).cancel();
      expect(await files.exists('big')).toBe(true);
    });

    it('a copy with a condition has the checksum of what was read', async () => {
      await files.put('big', mebibytes(9));
      const copy = await files.copy('big', 'copy', { ifNoneMatch: '*' });
      expect(copy.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect((await (await files.get('copy')).bytes()).byteLength).toBe(9 * mebibyte);
    });
  });

  it('a copy with a condition does not pass on what is corrupt', async () => {
    const { sha256 = '' } = await files.put('a', 'sound');
    const Metadata = { 'underpin.sha256': sha256 };
    const command = new PutObjectCommand({ Bucket, Key: 'a', Body: 'rotten', Metadata });
    await files.native.send(command);
    expect((await failureOf(files.copy('a', 'b', { ifNoneMatch: '*' }))).code).toBe('data-loss');
    expect(await files.exists('b')).toBe(false);
  });

  describe('least privilege', () => {
    afterEach(async () => {
      await files.native.send(new DeleteBucketPolicyCommand({ Bucket }));
    });

    it('everything but lists goes without s3:ListBucket', async () => {
      await deny('s3:ListBucket', 's3:ListBucketMultipartUploads');
      await files.start();
      await files.put('a', 'x', { ifNoneMatch: '*' });
      expect(await files.exists('a')).toBe(true);
      await files.copy('a', 'b');
      await files.deleteMany(['a', 'b']);
      expect((await failureOf(files.list())).code).toBe('permission-denied');
    });

    it('who may not read is told so, and not that there is nothing', async () => {
      await files.put('a', 'x');
      await deny('s3:GetObject');
      expect((await failureOf(files.exists('a'))).code).toBe('permission-denied');
      expect((await failureOf(files.get('a'))).code).toBe('permission-denied');
    });

    it('with mayList: false, what is denied is not there, and a wrong key is still unauthenticated', async () => {
      await files.put('a', 'x');
      await deny('s3:GetObject');
      await using unlisting = s3Storage({ ...bucket.options, mayList: false });
      expect(await unlisting.exists('a')).toBe(false);
      expect((await failureOf(unlisting.get('a'))).code).toBe('not-found');
      const credentials = { ...bucket.options.credentials, secretAccessKey: 'wrong' };
      const { bucket: name, region, endpoint } = bucket.options;
      await using wrong = s3Storage({
        bucket: name,
        region,
        endpoint,
        credentials,
        mayList: false,
      });
      expect((await failureOf(wrong.exists('a'))).code).toBe('unauthenticated');
    });

    it('who may not delete is told so by deleteMany', async () => {
      await files.put('a', 'x');
      await deny('s3:DeleteObject');
      expect((await failureOf(files.deleteMany(['a', 'b']))).code).toBe('permission-denied');
      expect(await files.exists('a')).toBe(true);
    });
  });

  it('no request touches an ACL', async () => {
    const seen: string[] = [];
    files.native.middlewareStack.add(
      (next) => async (args) => {
        const { headers, query } = args.request as { headers: object; query?: object };
        seen.push(...Object.keys(headers), ...Object.keys(query ?? {}));
        return await next(args);
      },
      { step: 'finalizeRequest', name: 'look' },
    );
    await files.put('a', 'x');
    await files.put('big', mebibytes(9));
    await files.copy('a', 'b');
    await files.move('b', 'c', { ifNoneMatch: '*' });
    const upload = await files.createUpload('d', { ifNoneMatch: '*' });
    await upload.putPart(1, 'x');
    await upload.complete();
    await files.deleteMany(['a', 'c']);
    await files.list();
    expect(seen).toContain('authorization');
    expect(seen.filter((name) => /acl|grant/i.test(name))).toEqual([]);
  });
});

describe('storage s3 › publicUrl', () => {
  it.each([
    ['of AWS', {}, 'https://press.s3.amazonaws.com/a%20b/c.txt'],
    [
      'of another server, in its path',
      { endpoint: 'https://s3.example.com:9000' },
      'https://s3.example.com:9000/press/a%20b/c.txt',
    ],
    [
      'of another server, as its host',
      { endpoint: 'https://s3.example.com', forcePathStyle: false },
      'https://press.s3.example.com/a%20b/c.txt',
    ],
  ])('%s', async (_what, options, url) => {
    await using files = s3Storage({ bucket: 'press', region: 'eu-central-1', ...options });
    expect(await files.publicUrl('a b/c.txt')).toBe(url);
  });

  it('a bucket whose name has a dot, which no certificate covers, stands in the path', async () => {
    await using files = s3Storage({ bucket: 'press.example.com', region: 'eu-central-1' });
    expect(await files.publicUrl('a')).toBe('https://s3.amazonaws.com/press.example.com/a');
  });
});
