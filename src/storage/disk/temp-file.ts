import { rm } from 'node:fs/promises';

import { closeFile, openFile, syncOpenFile, writeAll } from './calls.ts';

// Two of them are held for each body on its way in.
const bufferBytes = 512 * 1024;

/** Writes a body to a new file, and gives its size in bytes. Leaves no file when it throws. */
export async function writeTempFile(
  file: string,
  body: Uint8Array | AsyncIterable<Uint8Array>,
  { sync, signal }: { readonly sync: boolean; readonly signal: AbortSignal | undefined },
): Promise<number> {
  const opened = await openFile(file, 'wx');
  let isWritten = false;
  try {
    let size: number;
    try {
      size =
        body instanceof Uint8Array
          ? await writeBytes(opened, body)
          : await writeStream(opened, body, signal);
      if (sync) await syncOpenFile(opened);
    } finally {
      await closeFile(opened);
    }
    signal?.throwIfAborted();
    isWritten = true;
    return size;
  } finally {
    if (!isWritten) await rm(file, { force: true });
  }
}

async function writeBytes(file: number, bytes: Uint8Array): Promise<number> {
  await writeAll(file, bytes);
  return bytes.byteLength;
}

// While one buffer is written the other is filled, which is when the body is read and hashed. Chunks are copied, so that whoever
// gives them may use their memory again.
async function writeStream(
  file: number,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let filling = Buffer.allocUnsafeSlow(bufferBytes);
  let spare: typeof filling | undefined;
  let filled = 0;
  let size = 0;
  let writing: Promise<void> | undefined;
  const flush = async (): Promise<void> => {
    await writing;
    const full = filling;
    writing = writeAll(file, full.subarray(0, filled));
    // Told by whoever waits for it next.
    writing.catch(() => undefined);
    filling = spare ?? Buffer.allocUnsafeSlow(bufferBytes);
    spare = full;
    filled = 0;
  };
  try {
    for await (const chunk of body) {
      signal?.throwIfAborted();
      size += chunk.byteLength;
      for (let taken = 0; taken < chunk.byteLength;) {
        const piece = chunk.subarray(taken, taken + bufferBytes - filled);
        filling.set(piece, filled);
        filled += piece.byteLength;
        taken += piece.byteLength;
        if (filled === bufferBytes) await flush();
      }
    }
    if (filled > 0) await flush();
    await writing;
  } finally {
    // A descriptor must not be closed under a write.
    await writing?.catch(() => undefined);
  }
  return size;
}
