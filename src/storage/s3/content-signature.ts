import type { s3 } from './sdk.ts';

/**
 * Lets the signature cover the content by the checksum that is known, so that the server refuses what was changed on the way
 * and the SDK need not hash it again. Gives the server's time of its answer: an answer to a put does not say the file's.
 */
export function signContent(
  command: InstanceType<typeof s3.PutObjectCommand>,
  sha256: string,
): () => Date {
  let answered: Date | undefined;
  command.middlewareStack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['x-amz-content-sha256'] = sha256;
      return await next(args);
    },
    { step: 'build', name: 'underpinContentSha256' },
  );
  command.middlewareStack.add(
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
