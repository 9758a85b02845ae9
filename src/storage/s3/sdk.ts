import { importPeer } from '../../core/index.ts';

export const s3: typeof import('@aws-sdk/client-s3') = await importPeer(
  'underpin/storage/s3',
  '@aws-sdk/client-s3',
  () => import('@aws-sdk/client-s3'),
);

export const presigner: typeof import('@aws-sdk/s3-request-presigner') = await importPeer(
  'underpin/storage/s3',
  '@aws-sdk/s3-request-presigner',
  () => import('@aws-sdk/s3-request-presigner'),
);

export const presignedPost: typeof import('@aws-sdk/s3-presigned-post') = await importPeer(
  'underpin/storage/s3',
  '@aws-sdk/s3-presigned-post',
  () => import('@aws-sdk/s3-presigned-post'),
);

/** The option of a request by which a signal ends it. */
export function abortedBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}
