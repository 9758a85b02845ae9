import { inspect } from 'node:util';

import { ContainerClient } from '@azure/storage-blob';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { makeContainer, type TestContainer } from '../../../test/services/containers.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { areMebibytes, mebibyte, mebibytes } from '../../../test/storage/content.ts';
import { describeFaults, type FaultTarget, scriptedServer } from '../../../test/storage/faults.ts';
import { failureOf } from '../../../test/support/failure.ts';
import { type InfrastructureError, noPolicy } from '../../core/index.ts';
import { FileStorage } from '../storage.ts';
import { AzureStorageDriver, azureStorage } from './index.ts';

const canaryKey = Buffer.from('canary-secret').toString('base64');

/** How these ended: `won`, or the code of the error; in order of the alphabet. */
async function endsOf(writes: readonly Promise<unknown>[]): Promise<string[]> {
  const ends = await Promise.allSettled(writes);
  return ends
    .map((end) => (end.status === 'fulfilled' ? 'won' : (end.reason as InfrastructureError).code))
    .toSorted();
}

const { missing } = await service('azurite');

describe.skipIf(missing)('storage azure › on a real server', () => {
  let made: TestContainer;
  let files: FileStorage<AzureStorageDriver>;

  beforeEach(async () => {
    made = await makeContainer((await sharedServer('azurite')).url);
    files = azureStorage(made.options);
  });
  afterEach(async () => {
    await files.close();
    await made.remove();
  });

  /** All that is in the container, also what waits to become a blob. */
  async function everything(): Promise<string[]> {
    const blobs = await Array.fromAsync(
      files.native.listBlobsFlat({ includeUncommitedBlobs: true }),
    );
    return blobs.map(({ name }) => name);
  }

  /** The same container, where little is already too much for one request. */
  function withSmallSizes(): FileStorage<AzureStorageDriver> {
    const sizes = { block: mebibyte, whole: mebibyte, copy: mebibyte, copyBlock: 2 * mebibyte };
    return new FileStorage(
      new AzureStorageDriver({ client: files.native, policy: noPolicy, sizes }),
    );
  }

  it('a long stream of unknown length goes in blocks, is whole, and has its checksums', async () => {
    const info = await files.put('big', mebibytes(19), { metadata: { a: 'b' } });
    expect(info).toMatchObject({ size: 19 * mebibyte, metadata: { a: 'b' } });
    expect(info.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(await files.head('big')).toEqual(info);
    expect(await areMebibytes(files, 'big', 19)).toBe(true);
    expect(await everything()).toEqual(['big']);
  });

  it('a long stream that fails leaves neither a blob nor blocks', async () => {
    const error = await failureOf(files.put('big', mebibytes(19, new Error('source broke'))));
    expect([error.code, error.outcome]).toEqual(['aborted', 'not-applied']);
    expect(await everything()).toEqual([]);
  });

  it('an abort in the middle of the blocks leaves neither a blob nor blocks', async () => {
    const controller = new AbortController();
    async function* body(): AsyncGenerator<Uint8Array, void> {
      yield* mebibytes(20);
      controller.abort();
      yield* mebibytes(20);
    }
    const error = await failureOf(files.put('big', body(), { signal: controller.signal }));
    expect(error.code).toBe('cancelled');
    // The call does not wait until the blocks are removed.
    await vi.waitFor(async () => expect(await everything()).toEqual([]), { timeout: 10_000 });
  });

  it('a long conditional stream keeps its condition', async () => {
    const { etag } = await files.put('big', 'old');
    const refused = await failureOf(files.put('big', mebibytes(9), { ifNoneMatch: '*' }));
    expect(refused.code).toBe('already-exists');
    expect(await (await files.get('big')).text()).toBe('old');
    await files.put('big', mebibytes(9), { ifMatch: etag });
    expect(await areMebibytes(files, 'big', 9)).toBe(true);
    expect((await failureOf(files.put('big', mebibytes(9), { ifMatch: etag }))).code).toBe(
      'failed-precondition',
    );
  });

  it('long streams to one key at once are each whole', async () => {
    const small = withSmallSizes();
    await Promise.all([1, 2, 3].map(async () => await small.put('big', mebibytes(5))));
    expect(await areMebibytes(files, 'big', 5)).toBe(true);
    expect(await everything()).toEqual(['big']);
  });

  it('bytes too large for one request, and copies too large for the server, go in blocks', async () => {
    const small = withSmallSizes();
    const bytes = Buffer.concat(await Array.fromAsync(mebibytes(5)));
    const facts = {
      contentType: 'text/css',
      cacheControl: 'no-store',
      metadata: { a: 'b', c: '' },
    };
    const { etag: _, lastModified: __, ...info } = await small.put('a', bytes, facts);
    expect(info).toMatchObject({ ...facts, size: 5 * mebibyte });
    expect(await small.copy('a', 'b')).toMatchObject({ ...info, key: 'b' });
    expect(await small.head('b')).toMatchObject({ ...info, key: 'b' });
    expect(await areMebibytes(files, 'a', 5)).toBe(true);
    expect(await areMebibytes(files, 'b', 5)).toBe(true);
    const refused = await failureOf(small.copy('a', 'b', { ifNoneMatch: '*' }));
    expect(refused.code).toBe('already-exists');
  });

  it(
    "of racing writers with ifNoneMatch '*' one wins, 100 times of 100",
    { timeout: 120_000 },
    async () => {
      for (let run = 0; run < 100; run += 1) {
        const writes = [1, 2, 3, 4].map(
          async (writer) => await files.put(`a${run}`, `${writer}`, { ifNoneMatch: '*' }),
        );
        expect(await endsOf(writes)).toEqual([
          'already-exists',
          'already-exists',
          'already-exists',
          'won',
        ]);
      }
    },
  );

  it(
    'of racing writers with one ifMatch one wins, 100 times of 100',
    { timeout: 120_000 },
    async () => {
      let { etag } = await files.put('a', 'start');
      for (let run = 0; run < 100; run += 1) {
        const writes = [1, 2, 3, 4].map(
          async (writer) => await files.put('a', `${run} ${writer}`, { ifMatch: etag }),
        );
        expect(await endsOf(writes)).toEqual([
          'failed-precondition',
          'failed-precondition',
          'failed-precondition',
          'won',
        ]);
        ({ etag } = await files.head('a'));
      }
    },
  );

  it(
    "of racing ends of uploads with ifNoneMatch '*' one wins, 100 times of 100",
    { timeout: 120_000 },
    async () => {
      for (let run = 0; run < 100; run += 1) {
        const uploads = await Promise.all(
          [1, 2].map(async (writer) => {
            const upload = await files.createUpload(`a${run}`, { ifNoneMatch: '*' });
            await upload.putPart(1, `${run} ${writer}`);
            return upload;
          }),
        );
        const ends = uploads.map(async (upload) => await upload.complete());
        expect(await endsOf(ends)).toEqual(['already-exists', 'won']);
      }
    },
  );

  it('of racing conditional copies in blocks one wins', async () => {
    const small = withSmallSizes();
    await small.put('from', mebibytes(3));
    const copies = [1, 2, 3, 4].map(
      async () => await small.copy('from', 'to', { ifNoneMatch: '*' }),
    );
    expect(await endsOf(copies)).toEqual([
      'already-exists',
      'already-exists',
      'already-exists',
      'won',
    ]);
    expect(await areMebibytes(files, 'to', 3)).toBe(true);
  });

  it('an upload that is over leaves nothing but its file', async () => {
    const [done, left] = [await files.createUpload('done'), await files.createUpload('left')];
    for (const upload of [done, left]) await upload.putPart(1, 'x');
    expect(await files.list()).toEqual({ files: [], prefixes: [] });
    expect((await files.list({ delimiter: '/' })).prefixes).toEqual([]);
    await done.complete();
    await left.abort();
    expect(await everything()).toEqual(['done']);
  });

  it('an upload whose condition did not hold can still be completed', async () => {
    const upload = await files.createUpload('a', { ifNoneMatch: '*' });
    await upload.putPart(1, 'x');
    await files.put('a', 'there');
    expect((await failureOf(upload.complete())).code).toBe('already-exists');
    await files.delete('a');
    await upload.complete();
    expect(await (await files.get('a')).text()).toBe('x');
  });

  it('a part of one byte and an empty one replace each other', async () => {
    const upload = await files.createUpload('a');
    for (const content of ['', 'x', '', 'xy', '', 'z']) {
      await upload.putPart(1, content);
      expect(await upload.parts()).toEqual([{ number: 1, size: content.length }]);
    }
    await upload.complete();
    expect(await (await files.get('a')).text()).toBe('z');
  });

  it.each([
    ['the id', { id: '../other' }],
    ['a fact', { contentType: 7 }],
    ['the metadata', { metadata: { a: 7 } }],
    ['a value that no header holds', { metadata: { a: 'x\r\ny: z' } }],
    ['a condition', { ifNoneMatch: 'etag' }],
    ['an etag', { ifMatch: 'a"\r\nb' }],
  ])('a token in which somebody changed %s is refused', async (_what, change) => {
    const { token } = await files.createUpload('a');
    const facts = JSON.parse(Buffer.from(token, 'base64url').toString()) as { state: object };
    const state = { ...facts.state, ...change };
    const changed = Buffer.from(JSON.stringify({ ...facts, state })).toString('base64url');
    expect((await failureOf(files.resumeUpload(changed).complete())).code).toBe('invalid-argument');
  });

  it('content that changed behind the back of the storage is data-loss', async () => {
    await files.put('a', 'right');
    const blob = files.native.getBlockBlobClient('a');
    const { metadata = {} } = await blob.getProperties();
    await blob.upload('wrong', 5, { metadata });
    expect((await failureOf((await files.get('a')).text())).code).toBe('data-loss');
  });

  it('what somebody else stored has its own facts, and no checksum', async () => {
    await files.native.getBlockBlobClient('their file').upload('x', 1, {
      metadata: { Their_Name: 'y' },
      blobHTTPHeaders: { blobContentType: 'text/css' },
    });
    const info = await files.head('their file');
    expect([info.contentType, info.metadata, info.sha256]).toEqual([
      'text/css',
      { 'their-name': 'y' },
      undefined,
    ]);
    expect(await (await files.get('their file')).text()).toBe('x');
  });

  it('metadata is kept under names that Azure takes', async () => {
    await files.put('a', 'x', { metadata: { 'a-b': '1', '2-c': 'x  y', empty: '' } });
    const { metadata } = await files.native.getBlobClient('a').getProperties();
    expect(metadata).toMatchObject({ a_b: '1', _2_c: 'x  y', _underpin_empty: 'empty' });
    expect((await files.head('a')).metadata).toEqual({ 'a-b': '1', '2-c': 'x  y', empty: '' });
  });

  it('more files than one batch holds are deleted', { timeout: 120_000 }, async () => {
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`);
    await Promise.all(keys.map(async (key) => await files.put(key, 'x')));
    await files.deleteMany([...keys, 'nope']);
    expect(await everything()).toEqual([]);
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
    const blob = { 'x-ms-blob-type': 'BlockBlob' };
    expect((await fetch(url, { method: 'PUT', body: 'x', headers: blob })).status).toBe(403);
  });

  it('a shared access signature in the connection string is enough, but not to sign', async () => {
    await files.put('a', 'x');
    const { AccountSASPermissions, generateAccountSASQueryParameters, StorageSharedKeyCredential } =
      await import('@azure/storage-blob');
    const { credential, url } = files.native;
    if (!(credential instanceof StorageSharedKeyCredential)) throw new Error('no key');
    const signature = generateAccountSASQueryParameters(
      {
        expiresOn: new Date(Date.now() + 60_000),
        permissions: AccountSASPermissions.parse('rwdlc'),
        resourceTypes: 'sco',
        services: 'b',
      },
      credential,
    );
    const { container } = made.options;
    const connectionString = `BlobEndpoint=${url.replace(`/${container}`, '')};SharedAccessSignature=${signature.toString()}`;
    await using other = azureStorage({ container, connectionString });
    await other.copy('a', 'b');
    expect(await (await other.get('b')).text()).toBe('x');
    expect((await other.list()).files).toHaveLength(2);
    expect((await failureOf(other.signedUrl('a', { expiresIn: '5m' }))).code).toBe(
      'failed-precondition',
    );
    expect(await other.publicUrl('a')).toBe(`${url}/a`);
  });

  it('a wrong key is refused at the start, and no secret is shown', async () => {
    const { container, connectionString } = made.options;
    const wrong = connectionString.replace(/AccountKey=[^;]*/, `AccountKey=${canaryKey}`);
    await using other = azureStorage({ container, connectionString: wrong });
    const error = await failureOf(other.start());
    // Azurite's code for it is one that Azure has for a right that is missing.
    expect(error.code).toMatch(/^(?:unauthenticated|permission-denied)$/);
    expect(error.retryable).toBe(false);
    const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}${inspect(other, { depth: 9 })}`;
    expect(shown).not.toContain(canaryKey);
    expect((await other.checkHealth()).status).toBe('down');
  });

  it('a container that is not there is failed-precondition at the start, and the message names it', async () => {
    await using other = azureStorage({ ...made.options, container: 'no-such-container' });
    const error = await failureOf(other.start());
    expect([error.code, error.outcome]).toEqual(['failed-precondition', 'not-applied']);
    expect(error.message).toContain('"no-such-container"');
  });
});

const target: FaultTarget<FileStorage<AzureStorageDriver>> = {
  open: (port) =>
    azureStorage({
      container: 'pictures',
      endpoint: `http://127.0.0.1:${port}/shop`,
      accountName: 'shop',
      accountKey: canaryKey,
      policy: noPolicy,
    }),
  secret: canaryKey,
  path: '/shop/pictures/a',
  refusal: (status, code, headers) => (_request, response) => {
    response.writeHead(status, {
      'content-type': 'application/xml',
      'x-ms-error-code': code,
      ...headers,
    });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`);
  },
  absent: [404, 'BlobNotFound'],
  busy: [503, 'ServerBusy'],
  refusals: [
    [403, 'AuthenticationFailed', 'unauthenticated', 'not-applied', false],
    [401, 'InvalidAuthenticationInfo', 'unauthenticated', 'not-applied', false],
    [403, 'AuthorizationPermissionMismatch', 'permission-denied', 'not-applied', false],
    [404, 'ContainerNotFound', 'failed-precondition', 'not-applied', false],
    [409, 'ContainerBeingDeleted', 'failed-precondition', 'not-applied', true],
    [412, 'LeaseIdMissing', 'failed-precondition', 'not-applied', false],
    [503, 'ServerBusy', 'resource-exhausted', 'not-applied', true],
    [429, 'TooManyRequests', 'resource-exhausted', 'not-applied', true],
    [500, 'OperationTimedOut', 'unavailable', 'unknown', true],
    [500, 'InternalError', 'internal', 'unknown', true],
    [400, 'Md5Mismatch', 'data-loss', 'not-applied', true],
    [400, 'InvalidUri', 'invalid-argument', 'not-applied', false],
  ],
};

describe('storage azure', () => {
  describeFaults(target);
});

describe('storage azure › its own faults', () => {
  const { refusal } = target;
  const { answering } = scriptedServer(target);

  it('a clock that is wrong is told as that', async () => {
    await using files = await answering((_request, response) => {
      response.writeHead(403, { 'x-ms-error-code': 'AuthenticationFailed' });
      response.end(
        '<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code><Message>m</Message><AuthenticationErrorDetail>Request date header too old: x</AuthenticationErrorDetail></Error>',
      );
    });
    const error = await failureOf(files.put('a', 'x'));
    expect([error.code, error.retryable]).toEqual(['unauthenticated', false]);
    expect(error.message).toContain("this machine's clock is more than 15 minutes off");
  });

  it('a block that fails is sent again by itself, since a stream cannot be', async () => {
    let failures = 0;
    await using files = await answering((request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      const isSecond = Buffer.from(query.get('blockid') ?? '', 'base64').toString() === 'part00002';
      if (request.method === 'HEAD')
        response.writeHead(200, { 'content-length': '9437184', etag: '"e"' }).end();
      else if (isSecond && failures === 0) {
        failures += 1;
        refusal(503, 'ServerBusy')(request, response);
      } else {
        const status = request.headers['x-ms-copy-source'] === undefined ? 201 : 202;
        request.on('end', () => response.writeHead(status, { etag: '"e"' }).end());
      }
    });
    const retrying = azureStorage({ container: 'pictures', client: files.native });
    expect((await retrying.put('big', mebibytes(9))).size).toBe(9 * mebibyte);
    expect(failures).toBe(1);
  });

  it('who connects with a token copies with it too', async () => {
    const authorizations: unknown[] = [];
    await using files = await answering((request, response) => {
      if (request.method === 'HEAD')
        response.writeHead(200, { 'content-length': '5', etag: '"e"' }).end();
      else {
        authorizations.push(request.headers['x-ms-copy-source-authorization']);
        response.writeHead(202, { etag: '"f"' }).end();
      }
    });
    const getToken = async (): Promise<{ token: string; expiresOnTimestamp: number }> => ({
      token: 'the-token',
      expiresOnTimestamp: Date.now() + 3_600_000,
    });
    // A token goes over HTTPS alone, unless a client of one's own is told otherwise.
    const client = new ContainerClient(files.native.url, files.native['pipeline']);
    Object.defineProperty(client, 'credential', { value: { getToken } });
    await using other = azureStorage({ container: 'pictures', client, policy: noPolicy });
    expect((await other.copy('a', 'b')).etag).toBe('f');
    expect(authorizations).toEqual(['Bearer the-token']);
  });
});

describe('storage azure › options', () => {
  const access = { accountName: 'shop', accountKey: canaryKey };
  it.each([
    ['a container without a name', { ...access, container: '' }],
    ['a container in capitals', { ...access, container: 'Pictures' }],
    ['a container with a path', { ...access, container: 'abc/def' }],
    ['no way to the account', { container: 'pictures' }],
    ['a key without its account', { container: 'pictures', accountKey: canaryKey }],
    ['two ways', { ...access, container: 'pictures', connectionString: 'x' }],
    ['a connection string that is none', { container: 'pictures', connectionString: canaryKey }],
    ['an account that is none', { ...access, container: 'pictures', accountName: 'Shop!' }],
    ['a key that is none', { ...access, container: 'pictures', accountKey: `${canaryKey}!` }],
    ['an endpoint that is no URL', { ...access, container: 'pictures', endpoint: 'localhost' }],
    [
      'an endpoint with credentials',
      { ...access, container: 'pictures', endpoint: `http://key:${canaryKey}@host` },
    ],
  ])('%s is refused', (_what, options) => {
    let error: unknown;
    try {
      azureStorage(options);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'invalid-argument' });
    expect(String(error)).not.toContain(canaryKey);
  });

  it('an account is at its usual address, unless told', async () => {
    const files = azureStorage({ ...access, container: 'pictures' });
    expect(await files.publicUrl('größe/a b.jpg')).toBe(
      'https://shop.blob.core.windows.net/pictures/gr%C3%B6%C3%9Fe/a%20b.jpg',
    );
    expect(inspect(files, { depth: 9 })).not.toContain(canaryKey);
  });

  it('signs no upload, since Azure would take any size', () => {
    const files = azureStorage({ ...access, container: 'pictures' });
    expect(files.capabilities.signedUploads).toBe(false);
    // @ts-expect-error signedUploads is false
    void files
      .signedUpload('a', { expiresIn: '5m', maxSize: 1, contentType: 'a/b' })
      .catch(() => 0);
  });
});
