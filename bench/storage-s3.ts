import { Readable } from 'node:stream';

import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { s3Storage } from 'underpin/storage/s3';

import { makeBucket, type TestBucket } from '../test/services/buckets.ts';
import { startServer } from '../test/services/servers.ts';
import type { Bench, BenchCase, Variant } from './harness.ts';

/** A storage in a bucket, in the few calls that the cases make. */
export interface RemoteStore {
  readonly id: string;
  readonly put: (key: string, bytes: Uint8Array, contentType?: string) => Promise<unknown>;
  readonly get: (key: string) => Promise<Uint8Array>;
  /** Of a stream of unknown length; not there where the store cannot. */
  readonly putStream?: (key: string, content: Readable) => Promise<unknown>;
  readonly close?: () => unknown;
}

/** What `peers/storage-s3/variants.ts` exports: each peer, in a bucket. */
interface PeerStores {
  readonly stores: readonly ((options: TestBucket['options']) => RemoteStore)[];
}

const kilobyte = new Uint8Array(1024).map((_, index) => index % 251);
const chunk = new Uint8Array(64 * 1024).map((_, index) => index % 251);
const partBytes = 8 * 2 ** 20;
const partsAtOnce = 4;
const keys = 50;

function content(mebibytes: number): Readable {
  return Readable.from(
    (function* () {
      for (let sent = 0; sent < mebibytes * 2 ** 20; sent += chunk.length) yield chunk;
    })(),
    { objectMode: false },
  );
}

function underpin(options: TestBucket['options']): RemoteStore {
  const files = s3Storage(options);
  return {
    id: 'underpin',
    put: async (key, bytes, contentType) =>
      await files.put(key, bytes, contentType === undefined ? {} : { contentType }),
    get: async (key) => await (await files.get(key)).bytes(),
    putStream: async (key, body) => await files.put(key, body),
    close: async () => await files.close(),
  };
}

/** What one would write by hand on the same client: nothing is verified after it has arrived. */
function limit({ bucket, ...options }: TestBucket['options']): RemoteStore {
  const client = new S3Client({
    ...options,
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const put = async (key: string, Body: Uint8Array, ContentType?: string): Promise<unknown> =>
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, ContentType }));
  return {
    id: 'limit',
    put,
    async get(key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    },
    async putStream(key, body) {
      const object = { Bucket: bucket, Key: key };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
      const sent: Promise<{ PartNumber: number; ETag: string | undefined }>[] = [];
      const underWay = new Set<Promise<unknown>>();
      const send = (Body: Uint8Array): void => {
        const PartNumber = sent.length + 1;
        const sending = client
          .send(new UploadPartCommand({ ...object, UploadId, PartNumber, Body }))
          .then(({ ETag }) => ({ PartNumber, ETag }));
        sent.push(sending);
        underWay.add(sending);
        sending.then(
          () => underWay.delete(sending),
          () => undefined,
        );
      };
      let pieces: Buffer[] = [];
      let filled = 0;
      for await (const piece of body as AsyncIterable<Buffer>) {
        pieces.push(piece);
        filled += piece.length;
        if (filled < partBytes) continue;
        send(Buffer.concat(pieces));
        pieces = [];
        filled = 0;
        if (underWay.size >= partsAtOnce) await Promise.race(underWay);
      }
      if (filled > 0) send(Buffer.concat(pieces));
      const MultipartUpload = { Parts: await Promise.all(sent) };
      const command = new CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload });
      await client.send(command);
    },
    close: () => {
      client.destroy();
    },
  };
}

interface StoreCase {
  readonly goals: BenchCase['goals'];
  readonly now?: BenchCase['now'];
  readonly prepare?: (store: RemoteStore) => Promise<unknown>;
  readonly can?: (store: RemoteStore) => boolean;
  readonly work: (store: RemoteStore, index: number) => Promise<unknown>;
}

function storeCase(
  of: Pick<BenchCase, 'id' | 'unit' | 'count' | 'worth'>,
  { goals, now, prepare, can = () => true, work }: StoreCase,
): BenchCase {
  return {
    ...of,
    goals,
    ...(now && { now }),
    async open(peers) {
      const server = await startServer('s3');
      const others = (await peers('variants.ts')) as PeerStores | undefined;
      const bucket = await makeBucket(server.url);
      const makers = [underpin, limit, ...(others?.stores ?? [])];
      const stores = makers.map((make) => make(bucket.options)).filter(can);
      for (const store of stores) await prepare?.(store);
      return {
        variants: stores.map((store): Variant => ({
          id: store.id,
          // The server's disk is in memory, and has no room for what every variant leaves.
          reset: async () => await forget(bucket.options),
          async run(count) {
            for (let index = 0; index < count; index += 1) await work(store, index);
          },
        })),
        async close() {
          for (const store of stores) await store.close?.();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  };
}

async function forget({ bucket, ...options }: TestBucket['options']): Promise<void> {
  const client = new S3Client({ ...options, forcePathStyle: true });
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'large' }));
  client.destroy();
}

function assertLength(length: number): void {
  if (length !== kilobyte.length)
    throw new Error(`${length} bytes came back, and not ${kilobyte.length}`);
}

/** Nanoseconds of this process's own work: the server's, on the same machine, is none of the library's. */
function ownTime(): bigint {
  const { user, system } = process.cpuUsage();
  return BigInt(user + system) * 1000n;
}

const put: StoreCase = {
  goals: [{ against: 'limit', ratioAtLeast: 0.95 }],
  work: async (store, index) => await store.put(`file-${index % keys}`, kilobyte),
};

const typedPut: StoreCase = {
  ...put,
  work: async (store, index) =>
    await store.put(`file-${index % keys}`, kilobyte, 'application/octet-stream'),
};

const get: StoreCase = {
  goals: [{ against: 'limit', ratioAtLeast: 0.95 }],
  prepare: async (store) => {
    for (let index = 0; index < keys; index += 1) await store.put(`file-${index}`, kilobyte);
  },
  work: async (store, index) => {
    assertLength((await store.get(`file-${index % keys}`)).length);
  },
};

const stream: StoreCase = {
  goals: [{ against: 'limit', ratioAtLeast: 0.95 }],
  can: ({ putStream }) => putStream !== undefined,
  work: async (store) => await store.putStream?.('large', content(64)),
};

const bench: Bench = {
  component: 'storage-s3',
  peerSet: 'storage-s3',
  notes: [
    'On a private Ceph RGW whose disk is in memory, on the same machine. `limit` is the AWS SDK by hand: parts of 8 MiB, four at a time, and nothing is verified afterwards. The cases with `cpu` count the processor time of this process alone, in which the server has no part.',
    'flydrive sends a stream in one request, which S3 refuses when its length is unknown. No peer keeps or verifies a checksum; `underpin` computes SHA-256 and CRC-32 of all content, and keeps and verifies one. In the cases without `typed` it tells the content type by the first bytes, which no peer here does. `s3-upload-1g` is a stream of unknown length; its memory is that of the whole process, with what the variants before it left.',
  ],
  cases: [
    storeCase({ id: 's3-put-1k', unit: 'ops/s', count: 200 }, put),
    storeCase({ id: 's3-put-1k-cpu', unit: 'ops/s', count: 200 }, { ...put, now: ownTime }),
    storeCase(
      { id: 's3-put-1k-typed-cpu', unit: 'ops/s', count: 200 },
      { ...typedPut, now: ownTime },
    ),
    storeCase({ id: 's3-get-1k', unit: 'ops/s', count: 200 }, get),
    storeCase({ id: 's3-get-1k-cpu', unit: 'ops/s', count: 200 }, { ...get, now: ownTime }),
    storeCase({ id: 's3-stream-put-64m', unit: 'MiB/s', count: 1, worth: 64 }, stream),
    storeCase(
      { id: 's3-stream-put-64m-cpu', unit: 'MiB/s', count: 1, worth: 64 },
      { ...stream, now: ownTime },
    ),
    storeCase(
      { id: 's3-upload-1g', unit: 'MiB/s', count: 1, worth: 1024 },
      {
        ...stream,
        goals: [],
        work: async (store) => await store.putStream?.('large', content(1024)),
      },
    ),
  ],
};

export default bench;
