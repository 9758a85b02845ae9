import { createHash } from 'node:crypto';
import { inspect } from 'node:util';

import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { makeBucket, type TestBucket } from '../../../test/services/buckets.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { areMebibytes, mebibyte, mebibytes } from '../../../test/storage/content.ts';
import { describeFaults, type FaultTarget, scriptedServer } from '../../../test/storage/faults.ts';
import { failureOf } from '../../../test/support/failure.ts';
import { noPolicy } from '../../core/index.ts';
import { FileStorage } from '../storage.ts';
import { etagOfParts } from './etag.ts';
import { S3StorageDriver, s3Storage } from './index.ts';

const { missing } = await service('s3');

describe.skipIf(missing)('storage s3 › on a real server', () => {
  let bucket: TestBucket;
  let files: FileStorage<S3StorageDriver>;

  beforeEach(async () => {
    bucket = await makeBucket((await sharedServer('s3')).url);
    files = s3Storage(bucket.options);
  });
  afterEach(async () => {
    await files.close();
    await bucket.remove();
  });

  async function uploadsUnderWay(): Promise<number> {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket.options.bucket });
    return (await files.native.send(command)).Uploads?.length ?? 0;
  }

  it('a long stream of unknown length goes in parts, and is whole and in order', async () => {
    const info = await files.put('big', mebibytes(19), { metadata: { a: 'b' } });
    expect(info).toMatchObject({ size: 19 * mebibyte, metadata: { a: 'b' } });
    expect(info.etag).toMatch(/-3$/);
    expect(await areMebibytes(files, 'big', 19)).toBe(true);
    expect(await uploadsUnderWay()).toBe(0);
  });

  it('a long stream that fails leaves neither an object nor parts', async () => {
    const error = await failureOf(files.put('big', mebibytes(19, new Error('source broke'))));
    expect([error.code, error.outcome]).toEqual(['aborted', 'not-applied']);
    expect(await files.exists('big')).toBe(false);
    expect(await uploadsUnderWay()).toBe(0);
  });

  it('an abort in the middle of the parts leaves neither an object nor parts', async () => {
    const controller = new AbortController();
    async function* body(): AsyncGenerator<Uint8Array, void> {
      yield* mebibytes(20);
      controller.abort();
      yield* mebibytes(20);
    }
    const error = await failureOf(files.put('big', body(), { signal: controller.signal }));
    expect(error.code).toBe('cancelled');
    expect(await files.exists('big')).toBe(false);
    // The call does not wait until the parts are removed.
    await vi.waitFor(async () => expect(await uploadsUnderWay()).toBe(0), { timeout: 10_000 });
  });

  it('a long conditional stream keeps its condition', async () => {
    await files.put('big', 'old');
    const refused = await failureOf(files.put('big', mebibytes(9), { ifNoneMatch: '*' }));
    expect(refused.code).toBe('already-exists');
    expect(await (await files.get('big')).text()).toBe('old');
    await files.put('new', mebibytes(9), { ifNoneMatch: '*' });
    expect(await areMebibytes(files, 'new', 9)).toBe(true);
  });

  it('bytes too large for one request, and copies too large for the server, go in parts', async () => {
    const sizes = { part: 5 * mebibyte, whole: 5 * mebibyte, copy: 5 * mebibyte };
    const { native: client } = files;
    const options = { bucket: bucket.options.bucket, client, ownsClient: false, policy: noPolicy };
    await using small = new FileStorage(new S3StorageDriver({ ...options, sizes }));
    const bytes = Buffer.concat(await Array.fromAsync(mebibytes(11)));
    const info = await small.put('a', bytes, { metadata: { a: 'b' } });
    expect(info.etag).toMatch(/-3$/);
    expect(info.sha256).toMatch(/^[0-9a-f]{64}$/);
    const copy = await small.copy('a', 'b');
    expect([copy.size, copy.metadata]).toEqual([11 * mebibyte, { a: 'b' }]);
    expect(await areMebibytes(files, 'a', 11)).toBe(true);
    expect(await areMebibytes(files, 'b', 11)).toBe(true);
  });

  it('content that changed behind the back of the storage is data-loss', async () => {
    await files.put('a', 'right');
    const { Metadata } = await files.native.send(
      new HeadObjectCommand({ Bucket: bucket.options.bucket, Key: 'a' }),
    );
    const { PutObjectCommand } = await import('@aws-sdk/client-s3');
    await files.native.send(
      new PutObjectCommand({ Bucket: bucket.options.bucket, Key: 'a', Body: 'wrong', Metadata }),
    );
    expect((await failureOf((await files.get('a')).text())).code).toBe('data-loss');
  });

  it('what somebody else stored has its own facts, and no checksum', async () => {
    const { PutObjectCommand } = await import('@aws-sdk/client-s3');
    const Bucket = bucket.options.bucket;
    const foreign = { Bucket, Key: 'their file', Body: 'x', ContentType: 'text/css' };
    await files.native.send(new PutObjectCommand(foreign));
    const info = await files.head('their file');
    expect([info.contentType, info.metadata, info.sha256]).toEqual(['text/css', {}, undefined]);
    expect(await (await files.get('their file')).text()).toBe('x');
  });

  it('the server gets the content type, and the metadata under the names of S3', async () => {
    await files.put('a.css', 'b{}', { metadata: { author: 'ann' }, cacheControl: 'no-store' });
    const object = await files.native.send(
      new GetObjectCommand({ Bucket: bucket.options.bucket, Key: 'a.css' }),
    );
    expect(object).toMatchObject({
      ContentType: 'text/css; charset=utf-8',
      CacheControl: 'no-store',
      Metadata: { author: 'ann' },
    });
  });

  it('a signed URL reads this file alone, under the headers that it names', async () => {
    await files.put('a/b c.txt', 'hello');
    const url = await files.signedUrl('a/b c.txt', {
      expiresIn: '5m',
      contentDisposition: 'attachment; filename="b.txt"',
      contentType: 'text/csv',
    });
    const answer = await fetch(url);
    expect([answer.status, await answer.text()]).toEqual([200, 'hello']);
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="b.txt"');
    expect(answer.headers.get('content-type')).toBe('text/csv');
    expect((await fetch(url.replace('/a/', '/b/'))).status).toBe(403);
    expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403);
  });

  it('a signed upload takes this type and size alone', async () => {
    const upload = await files.signedUpload('in/a.txt', {
      expiresIn: '5m',
      maxSize: '1KiB',
      contentType: 'text/plain',
    });
    const send = async (body: string, changed: Record<string, string> = {}): Promise<number> => {
      const form = new FormData();
      for (const [name, value] of Object.entries({ ...upload.fields, ...changed }))
        form.set(name, value);
      form.set('file', new Blob([body]));
      return (await fetch(upload.url, { method: upload.method, body: form })).status;
    };
    expect(await send('x'.repeat(1025))).toBe(400);
    expect(await send('x', { 'Content-Type': 'text/html' })).toBe(403);
    expect(await send('x', { key: 'in/b.txt' })).toBe(403);
    expect(await files.list()).toEqual({ files: [], prefixes: [] });
    expect(await send('x'.repeat(1024))).toBe(204);
    expect(await files.head('in/a.txt')).toMatchObject({ size: 1024, contentType: 'text/plain' });
  });

  it('a clock that is wrong by hours is set right by the first answer', async () => {
    files.native.config.systemClockOffset = -5 * 3600 * 1000;
    await files.put('a', 'x');
    expect(await files.exists('a')).toBe(true);
  });

  it.each([
    ['an unknown access key', { accessKeyId: 'nobody' }, 'unauthenticated'],
    ['a wrong secret key', { secretAccessKey: 'canary-wrong-secret' }, 'unauthenticated'],
  ] as const)('%s is %s at the start, and no secret is shown', async (_what, wrong, code) => {
    const credentials = { ...bucket.options.credentials, ...wrong };
    await using other = s3Storage({ ...bucket.options, credentials });
    const error = await failureOf(other.start());
    expect([error.code, error.retryable]).toEqual([code, false]);
    const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}${inspect(other, { depth: 9 })}`;
    expect(shown).not.toContain(credentials.secretAccessKey);
    expect((await other.checkHealth()).status).toBe('down');
  });

  it('a bucket that is not there is failed-precondition at the start, and the message names it', async () => {
    await using other = s3Storage({ ...bucket.options, bucket: 'no-such-bucket' });
    const error = await failureOf(other.start());
    expect([error.code, error.outcome]).toEqual(['failed-precondition', 'not-applied']);
    expect(error.message).toContain('"no-such-bucket"');
  });
});

const target: FaultTarget<FileStorage<S3StorageDriver>> = {
  open: (port) =>
    s3Storage({
      bucket: 'b',
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: { accessKeyId: 'key', secretAccessKey: 'canary-secret' },
      policy: noPolicy,
    }),
  secret: 'canary',
  path: '/b/a',
  refusal: (status, code, headers) => (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/xml', ...headers });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`);
  },
  absent: [404, 'NoSuchKey'],
  busy: [503, 'SlowDown'],
  refusals: [
    [403, 'AccessDenied', 'permission-denied', 'not-applied', false],
    [400, 'ExpiredToken', 'unauthenticated', 'not-applied', false],
    [301, 'PermanentRedirect', 'failed-precondition', 'not-applied', false],
    [404, 'NoSuchBucket', 'failed-precondition', 'not-applied', false],
    [409, 'OperationAborted', 'aborted', 'not-applied', true],
    [503, 'SlowDown', 'resource-exhausted', 'not-applied', true],
    [503, 'ServiceUnavailable', 'unavailable', 'unknown', true],
    [500, 'InternalError', 'internal', 'unknown', true],
    [501, 'NotImplemented', 'unimplemented', 'unknown', false],
    [400, 'BadDigest', 'data-loss', 'not-applied', true],
  ],
};

describe('storage s3', () => {
  describeFaults(target);
});

describe('storage s3 › its own faults', () => {
  const { refusal } = target;
  const { answering, requests } = scriptedServer(target);

  it('files that were not deleted are told by their number, and one by its key', async () => {
    const denied = '<Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>';
    const md5 = createHash('md5');
    const headers: Record<string, unknown> = {};
    await using files = await answering((request, response) => {
      Object.assign(headers, request.headers);
      request.on('data', (chunk: Buffer) => void md5.update(chunk));
      request.on('end', () => response.end(`<R>${denied}${denied.replace('a<', 'b<')}</R>`));
    });
    const error = await failureOf(files.deleteMany(['a', 'b', 'c']));
    expect(headers['content-md5']).toBe(md5.digest('base64'));
    expect(Object.keys(headers).filter((name) => name.includes('checksum'))).toEqual([]);
    expect(error.code).toBe('permission-denied');
    expect(error.message).toContain('did not delete 2 of the files, such as "a": AccessDenied no');
    expect(requests()).toEqual(['POST /b/']);
  });

  it('what S3 denies to who may not list is not there, with mayList: false', async () => {
    await using files = await answering((request, response) => {
      if (request.method === 'HEAD') response.writeHead(403).end();
      else refusal(403, 'AccessDenied')(request, response);
    });
    expect((await failureOf(files.exists('a'))).code).toBe('permission-denied');
    await using unlisting = s3Storage({ bucket: 'b', client: files.native, mayList: false });
    expect(await unlisting.exists('a')).toBe(false);
    expect((await failureOf(unlisting.copy('a', 'b'))).code).toBe('not-found');
    expect((await failureOf(unlisting.put('a', 'x'))).code).toBe('permission-denied');
  });

  it('a HEAD that is refused, which cannot say why, is asked again by a GET', async () => {
    await using files = await answering((request, response) => {
      if (request.method === 'HEAD') response.writeHead(403).end();
      else refusal(403, 'InvalidAccessKeyId')(request, response);
    });
    expect((await failureOf(files.exists('a'))).code).toBe('unauthenticated');
  });

  it('a part that fails is sent again by itself, since a stream cannot be', async () => {
    let failures = 0;
    const etags: string[] = [];
    await using files = await answering((request, response) => {
      const md5 = createHash('md5');
      request.on('data', (chunk: Buffer) => void md5.update(chunk));
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      if (request.method === 'HEAD') {
        response.writeHead(200, { 'content-length': '9437184', etag: '"e"' }).end();
      } else if (query.has('uploads')) {
        response.end('<R><UploadId>1</UploadId></R>');
      } else if (query.get('partNumber') === '2' && failures === 0) {
        failures += 1;
        refusal(503, 'SlowDown')(request, response);
      } else if (request.method === 'PUT') {
        request.on('end', () => {
          const etag = md5.digest('hex');
          etags.push(etag);
          response.writeHead(200, { etag }).end();
        });
      } else response.end(`<R><ETag>"${etagOfParts(etags)}"</ETag></R>`);
    });
    const retrying = s3Storage({ bucket: 'b', client: files.native });
    expect((await retrying.put('big', mebibytes(9))).size).toBe(9 * mebibyte);
    expect(failures).toBe(1);
    expect(requests().filter((one) => one === 'DELETE /b/big')).toEqual([]);
  });

  /** A server that takes parts, gives such etags for them and a wrong one for the whole, and the sizes of parts that it was told. */
  async function takingParts(
    etagFor: (md5: string) => string,
  ): Promise<{ files: FileStorage<S3StorageDriver>; sizes: unknown[] }> {
    const sizes: unknown[] = [];
    const files = await answering((request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      const md5 = createHash('md5');
      request.on('data', (chunk: Buffer) => void md5.update(chunk));
      request.on('end', () => {
        if (query.has('uploads')) {
          sizes.push(request.headers['x-amz-meta-underpin.part-size']);
          response.end('<R><UploadId>1</UploadId></R>');
        } else if (request.method === 'PUT') {
          response.writeHead(200, { etag: etagFor(md5.digest('hex')) }).end();
        } else if (request.method === 'DELETE') response.writeHead(204).end();
        else response.end('<R><ETag>"wrong-2"</ETag></R>');
      });
    });
    return { files, sizes };
  }

  it('where etags are MD5s, the one of the whole is held against those of the parts', async () => {
    const { files, sizes } = await takingParts((md5) => md5);
    const error = await failureOf(files.put('big', mebibytes(9)));
    expect([error.code, error.outcome]).toEqual(['data-loss', 'unknown']);
    expect(sizes).toEqual([String(8 * mebibyte)]);
    await files.close();
  });

  it('where they are not, the upload begins anew, and nothing is held against them any more', async () => {
    const { files, sizes } = await takingParts(() => 'odd');
    const info = await files.put('big', mebibytes(9));
    expect(info).toMatchObject({ size: 9 * mebibyte, etag: 'wrong-2' });
    await files.put('big', mebibytes(9));
    expect(sizes).toEqual([String(8 * mebibyte), undefined, undefined]);
    await files.close();
  });
});

describe('storage s3 › options', () => {
  it.each([
    ['a bucket without a name', { bucket: '' }],
    ['a bucket with a path', { bucket: 'a/b' }],
    ['an endpoint that is no URL', { bucket: 'a', endpoint: 'localhost:9000' }],
    ['an endpoint with credentials', { bucket: 'a', endpoint: 'http://key:canary@host' }],
  ])('%s is refused', (_what, options) => {
    let error: unknown;
    try {
      s3Storage(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'invalid-argument' });
    expect(String(error)).not.toContain('canary');
  });

  it("close leaves the caller's own client open", async () => {
    const { native } = s3Storage({ bucket: 'a', region: 'us-east-1' });
    const destroy = vi.spyOn(native, 'destroy');
    await s3Storage({ bucket: 'a', client: native }).close();
    expect(destroy).not.toHaveBeenCalled();
    native.destroy();
  });
});
