import { hash } from 'node:crypto';

import { checkExpectations, checkFacts } from '../checks.ts';
import type { FileFacts, UploadState, WriteConditions } from '../driver.ts';
import { notAnUpload } from '../errors.ts';
import { reservedSegment } from '../key.ts';
import { isTexts } from '../texts.ts';

/** An upload that is under way: Azure takes the facts of a blob at its end, so that they travel in the token. */
export interface OpenUpload extends FileFacts, WriteConditions {
  readonly id: string;
  readonly sha256?: string;
}

const origin = { component: 'storage', adapter: 'azure', operation: 'resumeUpload' };
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Where the content of a file is put together. A token with another key leads elsewhere. */
export function stagingName(id: string, key: string): string {
  return `${reservedSegment}/uploads/${id}-${hash('sha256', key, 'base64url')}`;
}

/** What travels in the token. */
export function writeState({
  id,
  contentType,
  cacheControl,
  metadata,
  sha256,
  ifMatch,
  ifNoneMatch,
}: OpenUpload): UploadState {
  return { id, contentType, cacheControl, metadata, sha256, ifMatch, ifNoneMatch };
}

/** What came back in a token, which anybody may have changed. */
export function readState(state: UploadState): OpenUpload {
  const { id, contentType, cacheControl, metadata, sha256, ifMatch, ifNoneMatch } = state;
  if (
    typeof id !== 'string' ||
    !uuid.test(id) ||
    typeof contentType !== 'string' ||
    !isTextOrAbsent(cacheControl) ||
    !isTexts(metadata) ||
    !isTextOrAbsent(sha256) ||
    !isTextOrAbsent(ifMatch) ||
    !/^[\u0021\u0023-\u007e]*$/.test(ifMatch ?? '') ||
    (ifNoneMatch !== undefined && ifNoneMatch !== '*')
  )
    throw notAnUpload();
  const facts = { contentType, metadata, ...(cacheControl === undefined ? {} : { cacheControl }) };
  checkFacts(facts, origin);
  checkExpectations({ sha256 }, origin);
  return {
    id,
    ...facts,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

function isTextOrAbsent(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
