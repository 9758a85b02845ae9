import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';

import { service } from './services.ts';

/** How to reach an S3 server for tests. */
export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

let starting: Promise<S3Server> | undefined;

/**
 * The S3 server of `S3_URL`, or a private one, which all test files of one run share and which ends with the run. Call it only when
 * `service('s3')` is not missing; the first call takes about 15 seconds.
 */
function s3Server(): Promise<S3Server> {
  starting ??= locate();
  return starting;
}

async function locate(): Promise<S3Server> {
  const { address } = await service('s3');
  if (path.isAbsolute(address)) return await startPrivate();
  const { origin, username, password } = new URL(address);
  return {
    endpoint: origin,
    accessKeyId: decodeURIComponent(username),
    secretAccessKey: decodeURIComponent(password),
  };
}

async function startPrivate(): Promise<S3Server> {
  // vitest's test files run in child processes of the one that all of them share.
  const owner = process.env['VITEST'] === undefined ? process.pid : process.ppid;
  const folder = path.join(tmpdir(), `underpin-ceph-${owner}`);
  if (makeFolder(folder)) {
    const script = path.join(import.meta.dirname, 'ceph-process.ts');
    // It ends by itself when its owner does.
    spawn(process.execPath, [script, folder, String(owner)], {
      detached: true,
      stdio: 'ignore',
    }).unref();
  }
  for (let attempt = 0; attempt < 1200; attempt += 1) {
    if (existsSync(path.join(folder, 'server.json')))
      return JSON.parse(readFileSync(path.join(folder, 'server.json'), 'utf8')) as S3Server;
    if (existsSync(path.join(folder, 'failed')))
      throw new Error(`Ceph does not start: ${readFileSync(path.join(folder, 'failed'), 'utf8')}`);
    await sleep(100);
  }
  throw new Error(`Ceph does not start: nothing came of ${folder} within two minutes`);
}

/** Whether it is this process that made it. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A bucket of a test's own. */
export interface TestBucket {
  /** What `s3Storage` needs to use it. */
  readonly options: {
    readonly bucket: string;
    readonly region: string;
    readonly endpoint: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  /** Deletes it with all that is in it. */
  readonly remove: () => Promise<void>;
}

/** Makes an empty bucket. */
export async function makeBucket(): Promise<TestBucket> {
  const { endpoint, accessKeyId, secretAccessKey } = await s3Server();
  const options = {
    bucket: `underpin-${randomUUID()}`,
    region: 'us-east-1',
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
  };
  const client = new S3Client({ ...options, forcePathStyle: true });
  const Bucket = options.bucket;
  await client.send(new CreateBucketCommand({ Bucket }));
  return {
    options,
    async remove() {
      for (let isEmpty = false; !isEmpty;) {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
        isEmpty = Contents.length === 0;
        if (isEmpty) break;
        const Objects = Contents.map(({ Key }) => ({ Key }));
        await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      }
      await client.send(new DeleteBucketCommand({ Bucket }));
      client.destroy();
    },
  };
}
