import {
  type Clock,
  type ComponentOptions,
  type Duration,
  invalidArgument,
  systemClock,
  toMilliseconds,
} from '../../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverList,
  DriverPart,
  DriverPut,
  DriverUpload,
  DriverUploads,
  FileInfo,
  ListPage,
  StorageCapabilities,
  TransferConditions,
  UploadedPart,
  UploadState,
  WriteConditions,
} from '../driver.ts';
import { StorageFault } from '../errors.ts';
import { FileStorage } from '../storage.ts';
import { LayerDriver } from './layer.ts';
import { piecesOf, transformed } from './pieces.ts';

// The calls that can be made to fail. `exists` is a `head`.
const faultyCalls = [
  'put',
  'get',
  'head',
  'delete',
  'deleteMany',
  'copy',
  'move',
  'list',
  'createUpload',
  'putPart',
  'listParts',
  'completeUpload',
  'abortUpload',
] as const;

/** A call that can be made to fail; `exists` is a `head`. */
export type FaultyCall = (typeof faultyCalls)[number];

/** What goes wrong, and when. */
export interface Fault {
  /** Default: every call. */
  readonly calls?: readonly FaultyCall[];
  /** Only for keys that start with it (for `list`: prefixes). Default: all. */
  readonly prefix?: string;
  /** Which of the calls that the above matches, counted from 1: `[1]` is the first one only. Default: each. */
  readonly which?: readonly number[];
  /** How likely each of them is hit, from 0 to 1, by the seed. Default 1. */
  readonly probability?: number;
  /** How long the call waits, on the clock, before anything else. */
  readonly delay?: Duration;
  /**
   * Fails the call as `unavailable` and retryable: `before` it does anything (outcome `not-applied`), `after` it took effect, as an answer that was
   * lost (outcome `unknown`), or `midway` in the content of a `put` or a `get`. Without it, the call is only late.
   */
  readonly fail?: 'before' | 'after' | 'midway';
}

/** Options of {@link faulty}. */
export interface FaultyOptions extends ComponentOptions {
  /** All that match a call count it; the first of them that hits decides. */
  readonly faults: readonly Fault[];
  /** A whole number. The same one gives the same faults for the same calls. Default 1. */
  readonly seed?: number;
  /** For `delay`. */
  readonly clock?: Clock;
}

/** A storage that fails as it is told to. */
export class FaultyDriver<
  Capabilities extends StorageCapabilities = StorageCapabilities,
> extends LayerDriver<Capabilities> {
  override readonly uploads: DriverUploads;
  readonly #script: Script;

  constructor(inner: FileStorage, options: FaultyOptions, capabilities: Capabilities) {
    super('faulty', inner, capabilities);
    checkFaults(options, this.adapter);
    this.#script = new Script(options);
    this.uploads = new FaultyUploads(this.layerUploads(), this.#script);
  }

  override async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#script.run({ call: 'put', key }, signal, async (isMidway) => {
      if (!isMidway) return await super.put(key, body, options, signal);
      const fault = lost('unknown');
      const pieces = body instanceof Uint8Array ? [body] : body;
      try {
        return await super.put(key, interrupted(pieces, options.size, fault), options, signal);
      } catch (error) {
        // The storage below knows only that the body broke; the caller's did not.
        throw (error as Error).cause === fault ? fault : error;
      }
    });
  }

  override async get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<DriverFile> {
    const read = async (isMidway: boolean): Promise<DriverFile> => {
      const file = await super.get(key, range, signal);
      if (!isMidway) return file;
      const size = file.range ? file.range.end + 1 - file.range.start : file.info.size;
      const body = transformed(piecesOf(file.body), (pieces) =>
        interrupted(pieces, size, lost('unknown')),
      );
      return { ...file, body };
    };
    return await this.#script.run({ call: 'get', key }, signal, read, async ({ body }) => {
      await piecesOf(body)[Symbol.asyncIterator]().return?.();
    });
  }

  override async head(key: string, signal?: AbortSignal): Promise<FileInfo> {
    return await this.#script.run(
      { call: 'head', key },
      signal,
      async () => await super.head(key, signal),
    );
  }

  override async delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#script.run({ call: 'delete', key }, signal, async () => {
      await super.delete(key, conditions, signal);
    });
  }

  override async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#script.run({ call: 'deleteMany', key: keys[0] ?? '' }, signal, async () => {
      await super.deleteMany(keys, signal);
    });
  }

  override async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#script.run(
      { call: 'copy', key: from },
      signal,
      async () => await super.copy(from, to, conditions, signal),
    );
  }

  override async move(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#script.run(
      { call: 'move', key: from },
      signal,
      async () => await super.move(from, to, conditions, signal),
    );
  }

  override async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    return await this.#script.run(
      { call: 'list', key: options.prefix },
      signal,
      async () => await super.list(options, signal),
    );
  }
}

class FaultyUploads implements DriverUploads {
  readonly #uploads: DriverUploads;
  readonly #script: Script;

  constructor(uploads: DriverUploads, script: Script) {
    this.#uploads = uploads;
    this.#script = script;
  }

  async create(key: string, upload: DriverUpload, signal?: AbortSignal): Promise<UploadState> {
    return await this.#script.run(
      { call: 'createUpload', key },
      signal,
      async () => await this.#uploads.create(key, upload, signal),
    );
  }

  async putPart(
    key: string,
    state: UploadState,
    part: DriverPart,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#script.run({ call: 'putPart', key }, signal, async () => {
      await this.#uploads.putPart(key, state, part, signal);
    });
  }

  async listParts(
    key: string,
    state: UploadState,
    signal?: AbortSignal,
  ): Promise<readonly UploadedPart[]> {
    return await this.#script.run(
      { call: 'listParts', key },
      signal,
      async () => await this.#uploads.listParts(key, state, signal),
    );
  }

  async complete(
    key: string,
    state: UploadState,
    parts: readonly UploadedPart[],
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#script.run(
      { call: 'completeUpload', key },
      signal,
      async () => await this.#uploads.complete(key, state, parts, signal),
    );
  }

  async abort(key: string, state: UploadState, signal?: AbortSignal): Promise<void> {
    await this.#script.run({ call: 'abortUpload', key }, signal, async () => {
      await this.#uploads.abort(key, state, signal);
    });
  }
}

/** Decides, call by call, what goes wrong. */
class Script {
  readonly #faults: readonly (Fault & { count: number })[];
  readonly #clock: Clock;
  #state: number;

  constructor({ faults, seed = 1, clock = systemClock }: FaultyOptions) {
    this.#faults = faults.map((fault) => ({ ...fault, count: 0 }));
    this.#clock = clock;
    this.#state = seed;
  }

  async run<Result>(
    { call, key }: { readonly call: FaultyCall; readonly key: string },
    signal: AbortSignal | undefined,
    fn: (isMidway: boolean) => Promise<Result>,
    release?: (result: Result) => Promise<void>,
  ): Promise<Result> {
    const fault = this.#next(call, key);
    if (fault?.delay !== undefined) await this.#clock.sleep(toMilliseconds(fault.delay), signal);
    if (fault?.fail === 'before') throw lost('not-applied');
    const result = await fn(fault?.fail === 'midway');
    if (fault?.fail !== 'after') return result;
    await release?.(result);
    throw lost('unknown');
  }

  #next(call: FaultyCall, key: string): Fault | undefined {
    let hit: Fault | undefined;
    for (const fault of this.#faults) {
      const { calls = faultyCalls, prefix = '', which, probability = 1 } = fault;
      if (!calls.includes(call) || !key.startsWith(prefix)) continue;
      fault.count += 1;
      if (which && !which.includes(fault.count)) continue;
      // Drawn whether or not another one has hit already, so that faults do not shift each other.
      const isHit = probability === 1 || this.#random() < probability;
      if (isHit) hit ??= fault;
    }
    return hit;
  }

  // Mulberry32.
  #random(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

function checkFaults({ faults, seed = 1 }: FaultyOptions, adapter: string): void {
  const origin = { component: 'storage', adapter, operation: 'faulty' };
  if (!Number.isSafeInteger(seed))
    throw invalidArgument(origin, `the seed ${seed} is not a whole number`);
  for (const { calls = [], which = [], probability = 1, delay, fail } of faults) {
    const unknown = calls.find((call) => !faultyCalls.includes(call));
    if (unknown !== undefined)
      throw invalidArgument(
        origin,
        `there is no call ${JSON.stringify(unknown)}: give some of ${faultyCalls.join(', ')}`,
      );
    if (!(probability >= 0 && probability <= 1))
      throw invalidArgument(origin, `the probability ${probability} is not from 0 to 1`);
    if (!which.every((number) => Number.isInteger(number) && number >= 1))
      throw invalidArgument(origin, 'which counts calls from 1');
    if (delay === undefined && fail === undefined)
      throw invalidArgument(
        origin,
        'a fault has neither fail nor delay, so that nothing would go wrong',
      );
    if (
      fail === 'midway' &&
      !(calls.length > 0 && calls.every((call) => call === 'put' || call === 'get'))
    )
      throw invalidArgument(origin, "only 'put' and 'get' can fail midway: name them in calls");
  }
}

/** The first half of a content (its first piece, where the size is not known), and then the fault. */
async function* interrupted<Piece extends Uint8Array>(
  pieces: Iterable<Piece> | AsyncIterable<Piece>,
  size: number | undefined,
  fault: StorageFault,
): AsyncGenerator<Piece, void> {
  let left = size === undefined ? undefined : Math.floor(size / 2);
  for await (const piece of pieces) {
    if (left === undefined || piece.byteLength >= left) {
      // A part of a piece is of the same kind.
      yield piece.subarray(0, left) as Piece;
      break;
    }
    left -= piece.byteLength;
    yield piece;
  }
  throw fault;
}

function lost(outcome: 'not-applied' | 'unknown'): StorageFault {
  return new StorageFault({
    code: 'unavailable',
    outcome,
    message: 'a fault that was asked for: the storage did not answer',
  });
}

/**
 * A storage that fails as it is told to, for tests of what an application does then: by a script (`which`) or by chance with a seed,
 * and always in the same way. Signed URLs lead to the storage below, and do not fail.
 *
 * Give the `policy` that the application's storage has: the one of the storage below is not asked about these faults.
 *
 * @example
 * const files = faulty(memoryStorage(), { faults: [{ calls: ['put'], which: [1], fail: 'after' }] });
 */
export function faulty<Inner extends FileStorage>(
  storage: Inner,
  options: FaultyOptions,
): FileStorage<FaultyDriver<Inner['capabilities']>> {
  const driver = new FaultyDriver(storage, options, storage.capabilities);
  return new FileStorage(driver, options);
}
