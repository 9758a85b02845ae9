import { createHash } from 'node:crypto';

import type { s3 } from './sdk.ts';

type Put = InstanceType<typeof s3.PutObjectCommand>;
type PutPart = InstanceType<typeof s3.UploadPartCommand>;
type DeleteMany = InstanceType<typeof s3.DeleteObjectsCommand>;
type Complete = InstanceType<typeof s3.CompleteMultipartUploadCommand>;

/**
 * Lets the signature cover the content by the checksum that is known, so that the server refuses what was changed on the way
 * and the SDK need not hash it again.
 */
export function signContent(command: Put | PutPart, sha256: string): void {
  stackOf(command).add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['x-amz-content-sha256'] = sha256;
      return await next(args);
    },
    { step: 'build', name: 'underpinContentSha256' },
  );
}

/** Gives the server's time of its answer, once there is one: an answer to a write does not say the file's. */
export function answerDate(command: Put | Complete): () => Date {
  let answered: Date | undefined;
  stackOf(command).add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { headers: Record<string, string | undefined> };
      const date = Date.parse(headers['date'] ?? '');
      if (!Number.isNaN(date)) answered = new Date(date);
      return result;
    },
    { step: 'deserialize', name: 'underpinAnswerDate' },
  );
  return () => answered ?? new Date();
}

/** Gives a request its `Content-MD5` in place of the SDK's own checksum, which older servers do not take for one. */
export function sendMd5(command: DeleteMany): void {
  stackOf(command).add(
    (next) => async (args) => {
      const request = args.request as { body: string; headers: Record<string, string> };
      for (const name of Object.keys(request.headers))
        if (/^x-amz-(?:sdk-)?checksum/.test(name)) delete request.headers[name];
      request.headers['content-md5'] = createHash('md5').update(request.body).digest('base64');
      return await next(args);
    },
    { step: 'build', priority: 'low', name: 'underpinContentMd5' },
  );
}

// What is added here looks at no input or output, in which alone the commands' stacks differ.
function stackOf(command: Put | PutPart | Complete | DeleteMany): Put['middlewareStack'] {
  return command.middlewareStack as Put['middlewareStack'];
}
