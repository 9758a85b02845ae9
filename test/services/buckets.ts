import { randomUUID } from 'node:crypto';

import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';

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

/** Makes an empty bucket on the S3 server with this URL, under a name of its own unless one is given. */
export async function makeBucket(
  url: string,
  bucket = `underpin-${randomUUID()}`,
): Promise<TestBucket> {
  const { origin, username, password } = new URL(url);
  const options = {
    bucket,
    region: 'us-east-1',
    endpoint: origin,
    credentials: {
      accessKeyId: decodeURIComponent(username),
      secretAccessKey: decodeURIComponent(password),
    },
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

/** The environment of an application that is to use the bucket. */
export function settingsOf({ options }: TestBucket): Readonly<Record<string, string>> {
  const { bucket, region, endpoint, credentials } = options;
  return {
    STORAGE_URL: `s3://${bucket}?region=${region}&endpoint=${encodeURIComponent(endpoint)}`,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
}
