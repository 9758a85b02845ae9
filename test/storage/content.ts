import type { FileStorage } from '../../src/storage/index.ts';

/** Bytes in a mebibyte. */
export const mebibyte: number = 2 ** 20;

/** Mebibytes that differ from each other, and then perhaps an error. */
export async function* mebibytes(count: number, error?: Error): AsyncGenerator<Uint8Array, void> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(mebibyte, index + 1);
  if (error) throw error;
}

/** Whether a file is just so many {@link mebibytes}. */
export async function areMebibytes(
  files: FileStorage,
  key: string,
  count: number,
): Promise<boolean> {
  const bytes = await (await files.get(key)).bytes();
  const expected = Buffer.concat(await Array.fromAsync(mebibytes(count)));
  return Buffer.compare(bytes, expected) === 0;
}
