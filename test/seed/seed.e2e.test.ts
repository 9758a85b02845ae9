import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { directusClient } from '../../src/directus/index.ts';
import { s3Storage } from '../../src/storage/s3/index.ts';
import { createCollections } from '../../examples/gazette/infrastructure/directus/collections.ts';
import { makeBucket } from '../services/buckets.ts';
import { directusAdministrator, makeUser, type TestUser } from '../services/collections.ts';
import { type PrivateServer, sharedServer, startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';

// The two files that most infrastructure folders begin with, and the names of their settings.

const [directus, s3] = [await service('directus'), await service('s3')];

/** Runs the application with these variables and no others. */
async function run(
  what: 'directus' | 's3',
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; output: string; complaints: string }> {
  const script = path.join(import.meta.dirname, 'application-process.ts');
  const child = spawn(process.execPath, ['--conditions=underpin-source', script, what], {
    env: { PATH: process.env['PATH'], ...env },
    timeout: 120_000,
  });
  const said = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number];
  const [output, complaints] = await said;
  return { code, output, complaints };
}

describe.skipIf(directus.missing)('getDirectusClient › on a real Directus', () => {
  let server: PrivateServer;
  let url: string;
  let user: TestUser;

  beforeAll(async () => {
    server = await startServer('directus');
    const administrator = await directusAdministrator(server.url);
    ({ url } = administrator);
    await createCollections(directusClient(administrator));
    await administrator.request('POST', '/items/articles', { slug: 'one', title: 'One' });
    user = await makeUser(administrator, { articles: ['read'] });
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const read = { isOne: true, articles: [{ slug: 'one', title: 'One' }] };

  test('DIRECTUS_URL and DIRECTUS_TOKEN are enough', async () => {
    const env = { DIRECTUS_URL: url, DIRECTUS_TOKEN: user.token };
    const { output, ...ended } = await run('directus', env);
    expect(ended).toEqual({ code: 0, complaints: '' });
    expect(JSON.parse(output)).toEqual(read);
  });

  test('so are DIRECTUS_URL, DIRECTUS_EMAIL and DIRECTUS_PASSWORD', async () => {
    const { email, password } = user;
    const env = { DIRECTUS_URL: url, DIRECTUS_EMAIL: email, DIRECTUS_PASSWORD: password };
    const { output, ...ended } = await run('directus', env);
    expect(ended).toEqual({ code: 0, complaints: '' });
    expect(JSON.parse(output)).toEqual(read);
  });

  test('a wrong password ends it with an error that does not show it', async () => {
    const env = { DIRECTUS_URL: url, DIRECTUS_EMAIL: user.email, DIRECTUS_PASSWORD: 'canary-pw' };
    const { code, complaints } = await run('directus', env);
    expect(code).toBe(1);
    expect(complaints).toContain('INVALID_CREDENTIALS');
    expect(complaints).not.toContain('canary-pw');
  });
});

describe.skipIf(s3.missing)('uploadFile › on a real S3 server', () => {
  test('the names of AWS are enough, with AWS_ENDPOINT_URL for a server other than AWS', async () => {
    const { options, remove } = await makeBucket((await sharedServer('s3')).url);
    try {
      const { output, ...ended } = await run('s3', {
        AWS_REGION: options.region,
        AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
        AWS_BUCKET_NAME: options.bucket,
        AWS_ENDPOINT_URL: options.endpoint,
      });
      expect(ended).toEqual({ code: 0, complaints: '' });
      expect(output).toBe(`${options.endpoint}/${options.bucket}/press/kit.txt`);
      await using files = s3Storage(options);
      const file = await files.get('press/kit.txt');
      expect([await file.text(), file.info.contentType]).toEqual(['hello', 'text/plain']);
    } finally {
      await remove();
    }
  });
});
