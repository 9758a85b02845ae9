import { Environment } from 'underpin/core';
import type { FileStorage } from 'underpin/storage';
import { s3Storage } from 'underpin/storage/s3';

let files: FileStorage | undefined;

/**
 * Uploads a file to the newspaper's bucket and gives its address. The bucket is named by `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
 * `AWS_SECRET_ACCESS_KEY` and `AWS_BUCKET_NAME`; `AWS_ENDPOINT_URL` leads to another server than AWS.
 *
 * Throws `invalid-argument` that names every variable which is missing, or for a key that no URL can hold.
 */
export async function uploadFile(
  buffer: Buffer,
  key: string,
  contentType: string,
): Promise<string> {
  files ??= openBucket(new Environment(process.env));
  await files.put(key, buffer, { contentType });
  return await files.publicUrl(key);
}

function openBucket(env: Environment): FileStorage {
  const bucket = env.string('AWS_BUCKET_NAME');
  const region = env.string('AWS_REGION');
  const accessKeyId = env.string('AWS_ACCESS_KEY_ID');
  const secretAccessKey = env.secret('AWS_SECRET_ACCESS_KEY');
  const endpoint = env.optional('AWS_ENDPOINT_URL');
  env.throwProblems();
  const credentials = { accessKeyId, secretAccessKey };
  return s3Storage({ bucket, region, credentials, ...(endpoint !== undefined && { endpoint }) });
}
