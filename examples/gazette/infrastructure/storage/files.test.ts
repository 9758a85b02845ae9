import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

import { s3Storage } from 'underpin/storage/s3';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { makeBucket } from '../../../../test/services/buckets.ts';
import { sharedServer } from '../../../../test/services/servers.ts';
import { service } from '../../../../test/services/services.ts';

/** Takes every upload, as S3 does; what it got is in `uploads`. */
let server: Server;
let uploads: { readonly request: IncomingMessage; readonly body: Buffer }[];

beforeEach(async () => {
  uploads = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    uploads.push({ request, body: await buffer(request) });
    response.writeHead(200, { etag: '"1"' }).end();
  };
  server = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv('AWS_REGION', 'eu-central-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.stubEnv('AWS_BUCKET_NAME', 'gazette');
  // There is one bucket for the whole process: each test is a process of its own.
  vi.resetModules();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => void server.close(resolve));
});

describe('uploadFile', () => {
  test('it puts the bytes into the bucket, signed, and gives their public address', async () => {
    const { uploadFile } = await import('./files.ts');
    const url = await uploadFile(Buffer.from('a picture'), 'covers/one.txt', 'text/plain');
    expect(url).toBe(`${process.env['AWS_ENDPOINT_URL']}/gazette/covers/one.txt`);
    const upload = uploads.find(({ request }) => request.method === 'PUT');
    expect(upload?.request).toMatchObject({
      method: 'PUT',
      headers: { 'content-type': 'text/plain' },
    });
    expect(upload?.request.url).toMatch(/^\/gazette\/covers\/one\.txt(\?|$)/);
    expect(upload?.request.headers.authorization).toContain('Credential=key/');
    expect(upload?.body.toString()).toBe('a picture');
  });

  test('without settings, it names every one that is missing, and uploads nothing', async () => {
    for (const name of ['REGION', 'ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'BUCKET_NAME'])
      vi.stubEnv(`AWS_${name}`, undefined);
    const { uploadFile } = await import('./files.ts');
    await expect(uploadFile(Buffer.from('x'), 'x', 'text/plain')).rejects.toThrow(
      /AWS_BUCKET_NAME[^]*AWS_REGION[^]*AWS_ACCESS_KEY_ID[^]*AWS_SECRET_ACCESS_KEY/,
    );
    expect(uploads).toEqual([]);
  });
});

const { missing } = await service('s3');

describe.skipIf(missing)('uploadFile › to a real server', () => {
  test('the file is there with its type, and its address has the key as a URL writes it', async () => {
    const bucket = await makeBucket((await sharedServer('s3')).url);
    const { region, credentials, endpoint } = bucket.options;
    vi.stubEnv('AWS_REGION', region);
    vi.stubEnv('AWS_ACCESS_KEY_ID', credentials.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', credentials.secretAccessKey);
    vi.stubEnv('AWS_BUCKET_NAME', bucket.options.bucket);
    vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
    try {
      const { uploadFile } = await import('./files.ts');
      const url = await uploadFile(Buffer.from('hello'), 'press/Grüße 1.txt', 'text/plain');
      expect(url).toBe(`${endpoint}/${bucket.options.bucket}/press/Gr%C3%BC%C3%9Fe%201.txt`);
      await using files = s3Storage(bucket.options);
      const file = await files.get('press/Grüße 1.txt');
      expect([await file.text(), file.info.contentType]).toEqual(['hello', 'text/plain']);
      const outside = uploadFile(Buffer.from('x'), '../secret', 'text/plain');
      await expect(outside).rejects.toMatchObject({ code: 'invalid-argument' });
    } finally {
      await bucket.remove();
    }
  });
});
