import { hash } from 'node:crypto';

import type { BlockBlobClient } from '@azure/storage-blob';

import { type Classify, type Policy, PolicyExecutor, wrapError } from '../../core/index.ts';
import { StorageFault } from '../errors.ts';

/** As many blocks as one blob may have. */
const maxBlocks = 50_000;
// Together with the block that is being filled, at most this many are in memory.
const blocksAtOnce = 4;

/** Sends one block, and ends when it has arrived. */
export type SendBlock = (signal: AbortSignal | undefined) => Promise<unknown>;

/** Stages blocks, some at once, each of which is sent again by itself when it fails: a stream cannot be read twice. */
export class BlockStager {
  readonly #classify: Classify;
  readonly #executor: PolicyExecutor;

  constructor(classify: Classify, policy: Policy) {
    this.#classify = classify;
    const { name, retry } = policy;
    this.#executor = new PolicyExecutor({ name, ...(retry && { retry }) });
  }

  /** Settles when none is under way any more. */
  async stageAll(
    blocks: AsyncIterable<SendBlock> | Iterable<SendBlock>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const failed = new AbortController();
    const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
    const underWay = new Set<Promise<unknown>>();
    try {
      for await (const send of blocks) {
        stop.throwIfAborted();
        const sending = this.#send(send, stop);
        underWay.add(sending);
        sending.then(
          () => underWay.delete(sending),
          (error: unknown) => failed.abort(error),
        );
        if (underWay.size >= blocksAtOnce) await Promise.race(underWay);
      }
      await Promise.all(underWay);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(underWay);
      throw signal?.aborted ? signal.reason : failed.signal.reason;
    }
  }

  async #send(send: SendBlock, signal: AbortSignal): Promise<void> {
    const origin = { component: 'storage', adapter: 'azure', operation: 'put' };
    const wrap = (error: unknown): ReturnType<typeof wrapError> =>
      wrapError(error, origin, (raw) => {
        const classification = this.#classify(raw);
        return classification && { ...classification, outcome: 'not-applied' };
      });
    await this.#executor.execute({ origin, signal, repeatable: true, wrap }, send);
  }
}

/** The blocks of these parts. Puts their ids where they are asked for. */
export async function* blocksOf(
  blob: BlockBlobClient,
  parts: AsyncIterable<Uint8Array>,
  ids: string[],
): AsyncGenerator<SendBlock, void> {
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
