import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * Gives a stream as one of known size, by way of a temporary file: S3 takes a condition only with content whose size and checksum
 * are told first. The file goes when `use` has ended.
 */
export async function spooled<Result>(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  use: (content: AsyncIterable<Uint8Array>, size: number) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(path.join(tmpdir(), 'underpin-s3-'));
  try {
    const file = path.join(folder, 'body');
    const options = signal ? { signal } : {};
    await pipeline(body, createWriteStream(file, { mode: 0o600 }), options);
    const { size } = await stat(file);
    const content: Readable = createReadStream(file);
    try {
      return await use(content, size);
    } finally {
      content.destroy();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
