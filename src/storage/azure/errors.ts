import type { RestError } from '@azure/storage-blob';

import {
  type Classification,
  classifyHttpStatus,
  type Classify,
  parseRetryAfter,
} from '../../core/index.ts';
import type { WriteConditions } from '../driver.ts';
import { classifyStorageFault, conditionFailed } from '../errors.ts';
import { azure } from './sdk.ts';

/** What an error of the SDK says, as far as it is an answer of the server. */
interface Answer {
  /** Azure's own, such as `BlobNotFound`. Empty where it gives none. */
  readonly name: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
}

const corruptedOnTheWay: Classification = {
  code: 'data-loss',
  outcome: 'not-applied',
  retryable: true,
  message: 'the content arrived at Azure with another checksum, and was not stored: put it again',
};

const denied: Classification = {
  code: 'permission-denied',
  outcome: 'not-applied',
  message: 'Azure denies it: grant the right, as listed in docs/storage-azure.md',
};

const known: Readonly<Record<string, Classification>> = {
  AuthenticationFailed: {
    code: 'unauthenticated',
    outcome: 'not-applied',
    message:
      "Azure does not accept the credentials: check the account's name and key, and that this machine's clock is right",
  },
  InvalidAuthenticationInfo: {
    code: 'unauthenticated',
    outcome: 'not-applied',
    message: 'Azure does not accept the credentials: check the account and its credential',
  },
  NoAuthenticationInformation: {
    code: 'unauthenticated',
    outcome: 'not-applied',
    message: 'Azure wants credentials: give them',
  },
  AuthorizationFailure: denied,
  AuthorizationPermissionMismatch: denied,
  AuthorizationServiceMismatch: denied,
  AuthorizationResourceTypeMismatch: denied,
  InsufficientAccountPermissions: denied,
  AccountIsDisabled: { code: 'permission-denied', outcome: 'not-applied' },
  ContainerBeingDeleted: { code: 'failed-precondition', outcome: 'not-applied', retryable: true },
  ContainerDisabled: { code: 'failed-precondition', outcome: 'not-applied' },
  Md5Mismatch: corruptedOnTheWay,
  Crc64Mismatch: corruptedOnTheWay,
  MetadataTooLarge: { code: 'invalid-argument' },
  RequestBodyTooLarge: { code: 'invalid-argument' },
  // Another writer of the same key was under way.
  InvalidBlockList: { code: 'aborted', outcome: 'not-applied' },
  LeaseIdMissing: {
    code: 'failed-precondition',
    outcome: 'not-applied',
    message: 'the blob is leased by somebody else: wait until the lease ends, or break it',
  },
  BlobImmutableDueToPolicy: { code: 'permission-denied', outcome: 'not-applied' },
  BlobArchived: {
    code: 'failed-precondition',
    outcome: 'not-applied',
    message: 'the blob is archived: bring it back to an online tier first',
  },
  ServerBusy: { code: 'resource-exhausted', outcome: 'not-applied', retryable: true },
  OperationTimedOut: { code: 'unavailable', retryable: true },
  InternalError: { code: 'internal', retryable: true },
};

/** The server's answer in an error of the SDK; nothing for an error that arose without one. */
function answerOf(error: unknown): Answer | undefined {
  if (!azure.isRestError(error) || error.statusCode === undefined) return undefined;
  const headers = error.response?.headers;
  return {
    // A HEAD has no body to say it.
    name: headers?.get('x-ms-error-code') ?? error.code ?? '',
    status: error.statusCode,
    retryAfterMs: parseRetryAfter(headers?.get('retry-after') ?? null, Date.now()),
  };
}

/** Whether the server says that the blob is not there. */
export function isMissing(error: unknown): boolean {
  const answer = answerOf(error);
  return answer?.status === 404 && !['ContainerNotFound', 'ResourceNotFound'].includes(answer.name);
}

/** Whether the server refused a request since its condition does not hold. */
export function isConditionFailed(error: unknown): boolean {
  const answer = answerOf(error);
  return answer?.status === 412 || answer?.name === 'BlobAlreadyExists';
}

/** Whether the server says that a range starts past the end. */
export function isRangeUnsatisfiable(error: unknown): boolean {
  return answerOf(error)?.status === 416;
}

/** Whether the server knows who asks, and refuses it all the same. */
export function isAccessDenied(error: unknown): boolean {
  return answerOf(error)?.name === 'AuthorizationPermissionMismatch';
}

/** Whether blocks that were to be committed are gone: another writer of the blob was faster. */
export function isBlocksGone(error: unknown): boolean {
  return answerOf(error)?.name === 'InvalidBlockList';
}

/** An answer to one of the requests in a batch, as the error that it would have been alone. */
export function errorOfAnswer(status: number, name: string | undefined): RestError {
  const code = name ?? 'UnknownError';
  return new azure.RestError(`${status} ${code}`, { statusCode: status, code });
}

/** Throws what a refused write of a key means, under the conditions that it had. */
export function refuseWrite(
  key: string,
  { ifMatch, ifNoneMatch }: WriteConditions,
  error: unknown,
): never {
  if (ifNoneMatch !== undefined && isConditionFailed(error))
    throw conditionFailed(key, 'ifNoneMatch', error);
  if (ifMatch !== undefined && (isConditionFailed(error) || isMissing(error)))
    throw conditionFailed(key, 'ifMatch', error);
  throw error;
}

/** Maps the errors of the SDK for one container. */
export function classifierFor(container: string): Classify {
  return (error) => {
    const answer = answerOf(error);
    if (!(error instanceof Error) || answer === undefined) return classifyWithoutAnswer(error);
    const { name, status, retryAfterMs } = answer;
    const retryAfter = retryAfterMs === undefined ? {} : { retryAfterMs };
    if (name === 'ContainerNotFound' || name === 'ResourceNotFound')
      return {
        code: 'failed-precondition',
        outcome: 'not-applied',
        message: `there is no container "${container}": create it, or name another`,
      };
    // What is within the XML of the answer, and nowhere else.
    if (name === 'AuthenticationFailed' && /date header|clock|skew/i.test(error.message))
      return {
        code: 'unauthenticated',
        outcome: 'not-applied',
        message: "this machine's clock is more than 15 minutes off Azure's: set it by NTP",
      };
    if (Object.hasOwn(known, name) && known[name]) return { ...known[name], ...retryAfter };
    return {
      ...classifyHttpStatus({ status, headers: new Headers() }, 0),
      message: `Azure answered ${status} ${name}: ${error.message.split('\n', 1)[0]}`,
      ...retryAfter,
    };
  };
}

function classifyWithoutAnswer(error: unknown): Classification | undefined {
  // A stream that ended before its length.
  if (error instanceof Error && error.message.startsWith('Data corruption failure: received less'))
    return { code: 'unavailable' };
  // What the SDK makes of an answer that breaks off. (The caller's own abort is known by its signal.)
  if (error instanceof Error && error.message === 'The operation was aborted.')
    return { code: 'unavailable' };
  return classifyStorageFault(error);
}
