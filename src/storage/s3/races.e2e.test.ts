import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { makeBucket, type TestBucket } from '../../../test/services/buckets.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { type ErrorCode, InfrastructureError } from '../../core/index.ts';
import type { FileStorage } from '../storage.ts';
import { s3Storage, type S3StorageDriver } from './index.ts';

const rounds = 100;
const writers = ['one', 'two', 'three', 'four'];

/** What a writer does in a round, to its key, and the code by which the losers are told. */
interface Race {
  readonly what: string;
  readonly lost: ErrorCode;
  /** Makes what the writers race for, and gives what each of them then does. */
  readonly prepare: (
    files: FileStorage<S3StorageDriver>,
    key: string,
  ) => Promise<(text: string) => Promise<unknown>>;
}

const races: readonly Race[] = [
  {
    what: 'put with ifNoneMatch',
    lost: 'already-exists',
    prepare: async (files, key) => async (text) => await files.put(key, text, { ifNoneMatch: '*' }),
  },
  {
    what: 'put with ifMatch',
    lost: 'failed-precondition',
    async prepare(files, key) {
      const { etag } = await files.put(key, 'first');
      return async (text) => await files.put(key, text, { ifMatch: etag });
    },
  },
  {
    what: 'the completion of uploads with ifNoneMatch',
    lost: 'already-exists',
    async prepare(files, key) {
      const uploads = await Promise.all(
        writers.map(async (text) => {
          const upload = await files.createUpload(key, { ifNoneMatch: '*' });
          await upload.putPart(1, text);
          return [text, upload] as const;
        }),
      );
      const byText = new Map(uploads);
      return async (text) => await byText.get(text)?.complete();
    },
  },
  {
    what: 'copy with ifNoneMatch',
    lost: 'already-exists',
    async prepare(files, key) {
      for (const text of writers) await files.put(`from/${text}`, text);
      return async (text) => await files.copy(`from/${text}`, key, { ifNoneMatch: '*' });
    },
  },
  {
    what: 'move with ifNoneMatch',
    lost: 'already-exists',
    async prepare(files, key) {
      for (const text of writers) await files.put(`from/${text}`, text);
      return async (text) => await files.move(`from/${text}`, key, { ifNoneMatch: '*' });
    },
  },
];

for (const name of ['s3', 'moto'] as const) {
  const { missing } = await service(name);
  describe.skipIf(missing)(`storage s3 › races on ${name}`, () => {
    let server: PrivateServer;
    let bucket: TestBucket;
    let files: FileStorage<S3StorageDriver>;

    beforeAll(async () => {
      server = await startServer(name);
    });
    beforeEach(async () => {
      bucket = await makeBucket(server.url);
      files = s3Storage(bucket.options);
    });
    afterEach(async () => {
      await files.close();
      await bucket.remove();
    });
    afterAll(async () => await server?.[Symbol.asyncDispose]());

    test.each(races)(
      `$what has one winner in ${rounds} of ${rounds} rounds, whose content is there`,
      { timeout: 300_000 },
      async ({ prepare, lost }) => {
        for (let round = 0; round < rounds; round += 1) {
          const key = `raced/${round}`;
          const write = await prepare(files, key);
          const ends = await Promise.allSettled(
            writers.map(async (text) => {
              await write(text);
              return text;
            }),
          );
          const winners = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
          expect(winners).toHaveLength(1);
          expect(await (await files.get(key)).text()).toBe(winners[0]);
          for (const end of ends) {
            if (end.status === 'fulfilled') continue;
            expect(InfrastructureError.is(end.reason, lost), String(end.reason)).toBe(true);
          }
        }
      },
    );
  });
}
