import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';

import {
  definePolicy,
  invalidArgument,
  type Policy,
  redact,
  type Secret,
} from '../../core/index.ts';
import type { FileStorageOptions } from '../options.ts';
import { FileStorage } from '../storage.ts';
import { S3StorageDriver } from './driver.ts';
import { s3 } from './sdk.ts';

export { S3StorageDriver };

/** Keys of an account, or temporary ones of a role. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: Secret;
  /** Comes with temporary credentials. */
  readonly sessionToken?: Secret;
}

/** Options of {@link s3Storage}. */
export interface S3StorageOptions extends FileStorageOptions {
  readonly bucket: string;
  /** The bucket's region. Default: what the AWS SDK finds, such as `AWS_REGION`. */
  readonly region?: string;
  /** A server other than AWS, such as `https://s3.example.com`. Default: what the AWS SDK finds, such as `AWS_ENDPOINT_URL`. */
  readonly endpoint?: string;
  /** Default: what the AWS SDK finds: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, the machine's role. */
  readonly credentials?: S3Credentials;
  /** Whether the bucket stands in the URL's path and not in its host name. Default: with `endpoint`. */
  readonly forcePathStyle?: boolean;
  /**
   * Whether the credentials may list the bucket (`s3:ListBucket`). Who may not is told "denied" by S3 for a file that is not there;
   * with `false` that is taken for `not-found`, so that `exists` answers. Then a file that they may not read seems not to be there
   * either. Default: `true`.
   */
  readonly mayList?: boolean;
  /**
   * A client of your own, which you close. Then `region`, `endpoint`, `credentials` and `forcePathStyle` are not used. It should have
   * `maxAttempts: 1`, since the policy retries, and `requestChecksumCalculation: 'WHEN_REQUIRED'` for servers other than AWS.
   */
  readonly client?: S3Client;
}

/** Further attempts of what is safe to repeat. No timeout of the whole: nobody knows how large a file is. */
const defaultPolicy: Policy = definePolicy('s3', { retry: { attempts: 3 } });

/**
 * Files in an S3 bucket: of AWS, or of any server that speaks its protocol. Needs the optional peers `@aws-sdk/client-s3`,
 * `@aws-sdk/s3-request-presigner` and `@aws-sdk/s3-presigned-post`.
 *
 * Throws `invalid-argument` for a bucket without a name, or an endpoint that is no URL.
 *
 * @example
 * const files = s3Storage({ bucket: 'pictures', region: 'eu-central-1' });
 * await files.put('photos/cat.jpg', photo);
 */
export function s3Storage(options: S3StorageOptions): FileStorage<S3StorageDriver> {
  const { bucket, endpoint, mayList = true, policy = defaultPolicy } = options;
  const origin = { component: 'storage', adapter: 's3' };
  if (!/^[^\s/?#]+$/.test(bucket))
    throw invalidArgument(origin, `bucket ${JSON.stringify(bucket)} is not the name of a bucket`);
  if (endpoint !== undefined && !/^https?:\/\/[^@]+$/.test(endpoint))
    throw invalidArgument(
      origin,
      'endpoint is not a URL without credentials, such as https://s3.example.com',
    );
  const client = options.client ?? new s3.S3Client(clientConfiguration(options));
  const ownsClient = options.client === undefined;
  const driver = new S3StorageDriver({ bucket, client, ownsClient, policy, mayList });
  return new FileStorage(driver, { ...options, policy });
}

function clientConfiguration(options: S3StorageOptions): S3ClientConfig {
  const { region, endpoint, credentials, forcePathStyle = endpoint !== undefined } = options;
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    // As a function, so that no printed configuration holds a key.
    ...(credentials === undefined ? {} : { credentials: async () => reveal(credentials) }),
    forcePathStyle,
    maxAttempts: 1,
    // Else the SDK warns on the console of streams that it cannot send again.
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    // Other servers refuse the SDK's own checksums; the signature covers the content all the same.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 5000,
      // Nothing on the wire for this long is a dead connection, however large the file is.
      socketTimeout: 30_000,
      // Waiting for a free connection is no reason to write to the console.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
  };
}

function ignore(): void {
  // The errors are thrown too.
}

function reveal({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials): {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
} {
  return {
    accessKeyId,
    secretAccessKey: redact(secretAccessKey).reveal(),
    ...(sessionToken === undefined ? {} : { sessionToken: redact(sessionToken).reveal() }),
  };
}
