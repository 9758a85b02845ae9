import {
  type Classification,
  classifyHttpStatus,
  type Classify,
  parseRetryAfter,
} from '../../core/index.ts';
import { classifyStorageFault, StorageFault } from '../errors.ts';

/** What an error of the SDK says, as far as it is an answer of the server. */
interface Answer {
  readonly name: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
}

const badKeys =
  'S3 does not accept the credentials: check accessKeyId and secretAccessKey (and sessionToken, if they are temporary)';

const known: Readonly<Record<string, Classification>> = {
  InvalidAccessKeyId: { code: 'unauthenticated', message: badKeys },
  SignatureDoesNotMatch: { code: 'unauthenticated', message: badKeys },
  InvalidToken: { code: 'unauthenticated', message: badKeys },
  ExpiredToken: {
    code: 'unauthenticated',
    message: 'the temporary credentials have expired: get new ones',
  },
  CredentialsProviderError: {
    code: 'unauthenticated',
    outcome: 'not-applied',
    message:
      'no credentials were found: give the option credentials, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  },
  // The SDK has learnt the server's time from this answer, and signs the next request by it.
  RequestTimeTooSkewed: {
    code: 'unauthenticated',
    retryable: true,
    outcome: 'not-applied',
    message: "this machine's clock is more than 15 minutes off the server's: set it by NTP",
  },
  PermanentRedirect: {
    code: 'failed-precondition',
    message: 'the bucket is in another region: give its own as the option region',
  },
  AuthorizationHeaderMalformed: {
    code: 'failed-precondition',
    message: 'the bucket is in another region: give its own as the option region',
  },
  InvalidBucketName: { code: 'invalid-argument' },
  EntityTooLarge: {
    code: 'invalid-argument',
    message:
      'the content is larger than S3 takes in one request (5 GiB): put it without a condition',
  },
  MetadataTooLarge: { code: 'invalid-argument' },
  QuotaExceeded: { code: 'resource-exhausted', retryable: false },
  TooManyBuckets: { code: 'resource-exhausted', retryable: false },
  SlowDown: { code: 'resource-exhausted', outcome: 'not-applied' },
  RequestLimitExceeded: { code: 'resource-exhausted', outcome: 'not-applied' },
  RequestTimeout: { code: 'unavailable', outcome: 'not-applied', retryable: true },
  ServiceUnavailable: { code: 'unavailable' },
  InternalError: { code: 'internal', retryable: true },
  // Another writer of the same key was under way.
  ConditionalRequestConflict: { code: 'aborted', outcome: 'not-applied' },
  OperationAborted: { code: 'aborted', outcome: 'not-applied' },
  XAmzContentSHA256Mismatch: corruptedOnTheWay(),
  BadDigest: corruptedOnTheWay(),
};

function corruptedOnTheWay(): Classification {
  return {
    code: 'data-loss',
    outcome: 'not-applied',
    retryable: true,
    message: 'the content arrived at S3 with another checksum, and was not stored: put it again',
  };
}

/** The server's answer in an error of the SDK; nothing for an error that arose without one. */
function answerOf(error: unknown): Answer | undefined {
  if (!(error instanceof Error)) return undefined;
  const { $metadata, $response } = error as {
    $metadata?: { httpStatusCode?: number };
    $response?: { headers?: Readonly<Record<string, string>> };
  };
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return undefined;
  const retryAfterMs = parseRetryAfter($response?.headers?.['retry-after'] ?? null, Date.now());
  return { name: error.name, status, retryAfterMs };
}

/** Whether the server says that the key is not there. (A HEAD cannot say whether it is the key or the bucket.) */
export function isMissing(error: unknown): boolean {
  const answer = answerOf(error);
  return answer?.name === 'NoSuchKey' || (answer?.status === 404 && answer.name === 'NotFound');
}

/** Whether the server says that no upload in parts is under way by this name. */
export function isNoUpload(error: unknown): boolean {
  return answerOf(error)?.name === 'NoSuchUpload';
}

/** Whether the server refused a HEAD, whose answer cannot say why. */
export function isNamelessRefusal(error: unknown): boolean {
  return answerOf(error)?.status === 403;
}

/** Whether the server refused a write since its condition does not hold. */
export function isConditionFailed(error: unknown): boolean {
  return answerOf(error)?.status === 412;
}

/**
 * Whether it may be what Ceph answers to a conditional write that another one overtook at the last moment: a 500 without a name.
 * What stands at the key then tells.
 */
export function isCephsLostRace(error: unknown): boolean {
  const answer = answerOf(error);
  return answer?.status === 500 && answer.name === 'UnknownError';
}

/** Whether the server says that a range starts past the end. */
export function isRangeUnsatisfiable(error: unknown): boolean {
  return answerOf(error)?.status === 416;
}

/** Whether the server knows who asks, and refuses it all the same. */
export function isAccessDenied(error: unknown): boolean {
  return answerOf(error)?.name === 'AccessDenied';
}

/** Whether the server finds this machine's clock too far off its own. */
export function isClockSkew(error: unknown): boolean {
  return answerOf(error)?.name === 'RequestTimeTooSkewed';
}

/** Maps the errors of the SDK for one bucket. */
export function classifierFor(bucket: string): Classify {
  return (error) => {
    if (!(error instanceof Error)) return classifyStorageFault(error);
    const { name } = error;
    const answer = answerOf(error);
    const retryAfter =
      answer?.retryAfterMs === undefined ? {} : { retryAfterMs: answer.retryAfterMs };
    if (name === 'NoSuchBucket') {
      return {
        code: 'failed-precondition',
        message: `there is no bucket "${bucket}": create it, or name another`,
      };
    }
    if (Object.hasOwn(known, name) && known[name]) return { ...known[name], ...retryAfter };
    if (answer?.status === 403) {
      return {
        code: 'permission-denied',
        message: `S3 denies it for bucket "${bucket}": grant the right, as listed in docs/storage-s3.md. Without s3:ListBucket it also answers so for a file that is not there`,
      };
    }
    if (answer !== undefined && answer.status >= 400) {
      return {
        ...classifyHttpStatus({ status: answer.status, headers: new Headers() }, 0),
        message: `S3 answered ${answer.status} ${name}: ${error.message}`,
        ...retryAfter,
      };
    }
    if (name === 'TimeoutError' && /without establishing a connection/.test(error.message))
      return { code: 'unavailable', outcome: 'not-applied' };
    if (error.message === 'Region is missing') {
      return {
        code: 'failed-precondition',
        outcome: 'not-applied',
        message: 'no region was found: give the option region, or set AWS_REGION',
      };
    }
    return classifyStorageFault(error);
  };
}

/** Some of many files could not be deleted; of one of them the server says why. */
export function notDeleted(
  count: number,
  {
    Key = '',
    Code = '',
    Message = '',
  }: Partial<Record<'Key' | 'Code' | 'Message', string | undefined>>,
): StorageFault {
  return new StorageFault({
    code: Code === 'AccessDenied' ? 'permission-denied' : 'internal',
    retryable: Code !== 'AccessDenied',
    message: `S3 did not delete ${count} of the files, such as ${JSON.stringify(Key)}: ${Code} ${Message}`,
  });
}

/** A range begins past the end of an object, whose size the server does not tell. */
export function unsatisfiable(key: string, cause?: unknown): StorageFault {
  return new StorageFault(
    {
      code: 'invalid-argument',
      message: `the range starts past the end of ${JSON.stringify(key)}`,
    },
    cause,
  );
}

/** What was to be copied is another content by now. */
export function changedMeanwhile(key: string, cause: unknown): StorageFault {
  return new StorageFault(
    { code: 'aborted', message: `${JSON.stringify(key)} was replaced while it was copied` },
    cause,
  );
}
