import { hash } from 'node:crypto';

import type { BlockBlobClient } from '@azure/storage-blob';

import { StorageFault } from '../errors.ts';
import type { SendPart } from '../part-sender.ts';

/** As many blocks as one blob may have. */
const maxBlocks = 50_000;

/** The blocks of these parts. Puts their ids where they are asked for. */
export async function* blocksOf(
  blob: BlockBlobClient,
  parts: AsyncIterable<Uint8Array>,
  ids: string[],
): AsyncGenerator<SendPart, void> {
  for await (const part of parts) {
    if (ids.length === maxBlocks) throw tooLarge(part.byteLength);
    const id = blockId('part', ids.length + 1);
    ids.push(id);
    yield async (signal) => await stage(blob, id, part, signal);
  }
}

/** Stages a block, of which Azure checks that it arrived as it was sent. */
export async function stage(
  blob: BlockBlobClient,
  id: string,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  await blob.stageBlock(id, bytes, bytes.byteLength, {
    transactionalContentMD5: md5Of(bytes),
    ...(signal && { abortSignal: signal }),
  });
}

/** What Azure compares with the content that arrives. */
export function md5Of(bytes: Uint8Array): Uint8Array {
  return hash('md5', bytes, 'buffer');
}

/** The size of the blocks of a body, in bytes: at least `least`, and so large that Azure's 50,000 blocks hold it. */
export function blockBytesFor(size: number | undefined, least: number): number {
  return Math.max(least, Math.ceil((size ?? 0) / maxBlocks));
}

/** What a block is: a part of the content, what tells of a part, or what holds an upload open. */
export type BlockKind = 'part' | 'note' | 'open';

/** The id of a block. All ids of one blob must be of one length. */
export function blockId(kind: BlockKind, number: number): string {
  return Buffer.from(`${kind}${String(number).padStart(5, '0')}`).toString('base64');
}

/** What {@link blockId} made. */
export function readBlockId(id: string): { readonly kind: string; readonly number: number } {
  const text = Buffer.from(id, 'base64').toString();
  return { kind: text.slice(0, 4), number: Number(text.slice(4)) };
}

function tooLarge(blockBytes: number): StorageFault {
  return new StorageFault({
    code: 'invalid-argument',
    outcome: 'not-applied',
    message: `the stream has more than ${maxBlocks} blocks of ${blockBytes} bytes: give its size, so that larger blocks are made`,
  });
}
