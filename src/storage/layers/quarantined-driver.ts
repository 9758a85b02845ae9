import { type Clock, InfrastructureError, systemClock, wrapError } from '../../core/index.ts';
import type {
  ByteRange,
  DriverFile,
  DriverPut,
  DriverSignedUpload,
  DriverUploads,
  FileInfo,
  SignedUpload,
  StorageCapabilities,
  TransferConditions,
  UploadState,
  WriteConditions,
} from '../driver.ts';
import { notAnUpload, noUpload } from '../errors.ts';
import type { FileStorage } from '../storage.ts';
import { StoredFile } from '../stored-file.ts';
import type { Upload } from '../upload.ts';
import { innerPut } from './layer.ts';
import { PrefixedDriver } from './prefixed.ts';
import type {
  QuarantinedCapabilities,
  QuarantinedOptions,
  ScanReport,
  ScanVerdict,
} from './quarantine-options.ts';
import {
  isConditional,
  isSlotId,
  newSlot,
  pathOf,
  type PendingOf,
  type Slot,
  Slots,
} from './quarantine-slots.ts';

// Somebody else has released it, found it infected, or put a newer version in its place: then there is nothing to do.
type Settled =
  | { readonly state: 'clean'; readonly info: FileInfo }
  | { readonly state: 'infected'; readonly reason: string }
  | { readonly state: 'gone' };

// No put takes this long: what is older belonged to a process that ended.
const abandonedAfterMs = 24 * 3600 * 1000;

/** Files that are served only once a scanner has seen them. */
export class QuarantinedDriver<
  Inner extends StorageCapabilities = StorageCapabilities,
> extends PrefixedDriver<QuarantinedCapabilities<Inner>> {
  override readonly uploads: DriverUploads;
  readonly #options: QuarantinedOptions;
  readonly #clock: Clock;
  readonly #slots: Slots;

  constructor(inner: FileStorage, options: QuarantinedOptions, capabilities: Inner) {
    const conditionalWrites = capabilities.conditionalWrites && options.deferred !== true;
    super(inner, 'clean/', { ...capabilities, conditionalWrites }, 'quarantined');
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#slots = new Slots(inner);
    this.uploads = this.#makeUploads();
  }

  override async put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: DriverPut,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.relay(async () => {
      const slot = this.#newSlot(key, options);
      const put = { ...innerPut(options), signal };
      const info = await this.native.put(pathOf('held', slot), body, put);
      return await this.#settle(slot, { info, conditions: options, signal });
    });
  }

  // Says why, where there is a version that is not served.
  override async get(
    key: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<DriverFile> {
    return await this.#explaining(key, signal, async () => await super.get(key, range, signal));
  }

  override async delete(
    key: string,
    conditions: Pick<WriteConditions, 'ifMatch'>,
    signal?: AbortSignal,
  ): Promise<void> {
    if (conditions.ifMatch === undefined) await this.deleteMany([key], signal);
    else await super.delete(key, conditions, signal);
  }

  // What is on its way goes too, or it would bring the file back.
  override async deleteMany(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.relay(async () => {
      const [only] = keys;
      if (keys.length === 1 && only !== undefined) await this.#removePending({ key: only }, signal);
      else {
        const all = new Set(keys);
        await this.#removePending({ prefix: '' }, signal, ({ key }) => all.has(key));
      }
    });
    await super.deleteMany(keys, signal);
  }

  override async copy(
    from: string,
    to: string,
    conditions: TransferConditions,
    signal?: AbortSignal,
  ): Promise<FileInfo> {
    return await this.#explaining(
      from,
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
    return await this.#explaining(
      from,
      signal,
      async () => await super.move(from, to, conditions, signal),
    );
  }

  override async signUpload(key: string, options: DriverSignedUpload): Promise<SignedUpload> {
    const path = pathOf('inbox', this.#newSlot(key, {}));
    return await this.relay(async () => await this.native.signedUpload(path, { ...options }));
  }

  /** Scans what is pending; see {@link QuarantinedStorage.scanPending}. */
  async scan(of: PendingOf, signal: AbortSignal | undefined): Promise<ScanReport> {
    const clean: string[] = [];
    const infected: ScanReport['infected'][number][] = [];
    const failed: ScanReport['failed'][number][] = [];
    await this.relay(async () => {
      for await (const { slot } of this.#slots.list('inbox', of, signal))
        await this.#claim(slot, signal);
      for await (const { slot, since } of this.#slots.list('held', of, signal)) {
        const { key } = slot;
        if (isConditional(slot)) {
          if (since.getTime() < this.#clock.now() - abandonedAfterMs)
            await this.#discard(slot, signal);
          continue;
        }
        try {
          const settled = await this.#scanHeld(slot, {}, signal);
          if (settled.state === 'clean') clean.push(key);
          if (settled.state === 'infected') infected.push({ key, reason: settled.reason });
        } catch (error) {
          signal?.throwIfAborted();
          failed.push({ key, error: this.#wrapped(error, 'scan') });
        }
      }
    });
    return { clean, infected, failed };
  }

  /** Removes what is pending below a prefix. */
  async removePending(prefix: string, signal: AbortSignal | undefined): Promise<void> {
    await this.relay(async () => {
      await this.#removePending({ prefix }, signal);
    });
  }

  protected override outerMessage(message: string): string {
    return super
      .outerMessage(message)
      .replaceAll(/"(?:inbox|held|dirty)\/([^"]+)\/[0-9a-z]{13}[cu]"/g, '"$1"');
  }

  #makeUploads(): DriverUploads {
    return {
      create: async (key, upload, signal) =>
        await this.relay(async () => {
          const { ifMatch, ifNoneMatch, ...options } = upload;
          const slot = this.#newSlot(key, upload);
          const { token } = await this.native.createUpload(pathOf('held', slot), {
            ...options,
            signal,
          });
          const conditions = {
            ...(ifMatch === undefined ? {} : { ifMatch }),
            ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
          };
          return { token, id: slot.id, ...conditions };
        }),
      putPart: async (key, state, { number, bytes }, signal) => {
        await this.relay(async () => {
          await this.#resume(key, state).upload.putPart(number, bytes, { signal });
        });
      },
      listParts: async (key, state, signal) =>
        await this.relay(async () => await this.#resume(key, state).upload.parts({ signal })),
      complete: async (key, state, _parts, signal) =>
        await this.relay(async () => {
          const { upload, slot, conditions } = this.#resume(key, state);
          const info = await upload.complete({ signal });
          return await this.#settle(slot, { info, conditions, signal });
        }),
      abort: async (key, state, signal) => {
        await this.relay(async () => {
          await this.#resume(key, state).upload.abort({ signal });
        });
      },
    };
  }

  #resume(
    key: string,
    { token, id, ifMatch, ifNoneMatch }: UploadState,
  ): { readonly upload: Upload; readonly slot: Slot; readonly conditions: WriteConditions } {
    const isSound =
      (ifMatch === undefined || typeof ifMatch === 'string') &&
      (ifNoneMatch === undefined || ifNoneMatch === '*');
    if (typeof token !== 'string' || !isSlotId(id) || !isSound) throw notAnUpload();
    const slot = { key, id };
    const upload = this.native.resumeUpload(token);
    if (upload.key !== pathOf('held', slot)) throw noUpload(key);
    const conditions = {
      ...(ifMatch === undefined ? {} : { ifMatch }),
      ...(ifNoneMatch === undefined ? {} : { ifNoneMatch: '*' as const }),
    };
    return { upload, slot, conditions };
  }

  #newSlot(key: string, { ifMatch, ifNoneMatch }: WriteConditions): Slot {
    return newSlot(key, this.#clock.now(), ifMatch !== undefined || ifNoneMatch !== undefined);
  }

  // Ends a put: its version is released, or the call says why not.
  async #settle(
    slot: Slot,
    {
      info,
      conditions,
      signal,
    }: {
      readonly info: FileInfo;
      readonly conditions: WriteConditions;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<FileInfo> {
    const held = { ...info, key: slot.key };
    if (this.#options.deferred === true) return held;
    let settled: Settled;
    try {
      settled = await this.#scanHeld(slot, conditions, signal);
    } catch (error) {
      const { outcome, retryable } = this.#wrapped(error, 'put');
      const isRefused = outcome === 'not-applied' && !retryable;
      // Nobody else knows the condition, or ever could release it.
      if (isConditional(slot) || isRefused)
        await this.#discard(slot, undefined).catch(() => undefined);
      throw error;
    }
    if (settled.state === 'clean') return { ...settled.info, key: slot.key };
    if (settled.state === 'infected') throw this.#infected(slot.key, settled.reason);
    if (await this.native.exists(pathOf('dirty', slot), { signal })) throw this.#infected(slot.key);
    if (!isConditional(slot)) return held;
    throw new InfrastructureError({
      code: 'aborted',
      component: 'storage',
      adapter: this.adapter,
      operation: 'put',
      message: `${JSON.stringify(slot.key)} took longer than a day to scan, and was given up: put it again`,
    });
  }

  async #scanHeld(
    slot: Slot,
    conditions: WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<Settled> {
    try {
      const verdict = await this.#scanContent(slot, signal);
      if (verdict === 'clean')
        return { state: 'clean', info: await this.#release(slot, conditions, signal) };
      await this.native.move(pathOf('held', slot), pathOf('dirty', slot), { signal });
      return { state: 'infected', reason: verdict.infected };
    } catch (error) {
      const isGone =
        InfrastructureError.is(error, 'not-found') &&
        !(await this.native.exists(pathOf('held', slot), { signal }));
      if (isGone) return { state: 'gone' };
      throw error;
    }
  }

  async #scanContent(slot: Slot, signal: AbortSignal | undefined): Promise<ScanVerdict> {
    const { key } = slot;
    const stored = await this.native.get(pathOf('held', slot), { signal });
    const file = new StoredFile(
      { info: { ...stored.info, key }, body: stored.stream() },
      { signal, wrap: (error) => this.#wrapped(error, 'scan') },
    );
    try {
      const verdict: unknown = await this.#options.scan(file);
      if (isVerdict(verdict)) return verdict;
      throw new TypeError("it gave neither 'clean' nor { infected }");
    } catch (error) {
      signal?.throwIfAborted();
      // Whatever the scanner's own error is, it says nothing of the file, which must not be given up for it.
      throw new InfrastructureError({
        code: 'unavailable',
        component: 'storage',
        adapter: this.adapter,
        operation: 'scan',
        outcome: isConditional(slot) ? 'not-applied' : 'unknown',
        message: `the scanner failed, and ${JSON.stringify(key)} is not served: ${(error as Error).message}`,
        details: { state: 'pending' },
        cause: error,
      });
    } finally {
      await file.cancel();
    }
  }

  async #release(
    slot: Slot,
    { ifMatch, ifNoneMatch }: WriteConditions,
    signal: AbortSignal | undefined,
  ): Promise<FileInfo> {
    const [held, clean] = [pathOf('held', slot), this.innerKey(slot.key)];
    if (ifNoneMatch !== undefined)
      return await this.native.move(held, clean, { ifNoneMatch, signal });
    if (ifMatch === undefined) {
      await this.#removeOlder(slot, signal);
      return await this.native.move(held, clean, { signal });
    }
    // No move has this condition.
    const file = await this.native.get(held, { signal });
    const { contentType, cacheControl, metadata, size, sha256 } = file.info;
    const info = await this.native.put(clean, file.stream(), {
      contentType,
      ...(cacheControl === undefined ? {} : { cacheControl }),
      metadata,
      size,
      ...(sha256 === undefined ? {} : { sha256 }),
      ifMatch,
      signal,
    });
    await this.#discard(slot, signal);
    return info;
  }

  // Before the newer one is in place, so that no scan that is still under way puts an older one over it.
  async #removeOlder(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    await this.#slots.remove(
      'held',
      { key: slot.key },
      signal,
      (one) => !isConditional(one) && one.id < slot.id,
    );
  }

  // From here on nobody can change it. A name of its own: what was sent to the same place before may still be under scan.
  async #claim(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.native.move(pathOf('inbox', slot), pathOf('held', this.#newSlot(slot.key, {})), {
        signal,
      });
    } catch (error) {
      if (!InfrastructureError.is(error, 'not-found')) throw error;
    }
  }

  async #discard(slot: Slot, signal: AbortSignal | undefined): Promise<void> {
    await this.native.delete(pathOf('held', slot), { signal });
  }

  async #removePending(
    of: PendingOf,
    signal: AbortSignal | undefined,
    matches: (slot: Slot) => boolean = () => true,
  ): Promise<void> {
    await this.#slots.remove('inbox', of, signal, matches);
    await this.#slots.remove('held', of, signal, matches);
  }

  async #explaining<Result>(
    key: string,
    signal: AbortSignal | undefined,
    fn: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await fn();
    } catch (error) {
      if (!InfrastructureError.is(error, 'not-found')) throw error;
      const state = await this.relay(async () => await this.#slots.stateOf(key, signal));
      if (state === undefined) throw error;
      throw new InfrastructureError({
        code: 'not-found',
        component: 'storage',
        adapter: this.adapter,
        ...(error.operation === undefined ? {} : { operation: error.operation }),
        message:
          state === 'pending'
            ? `${JSON.stringify(key)} is not served yet: it waits to be scanned`
            : `${JSON.stringify(key)} is not served: it is infected`,
        details: { state },
      });
    }
  }

  #infected(key: string, reason?: string): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'storage',
      adapter: this.adapter,
      operation: 'put',
      message: `${JSON.stringify(key)} was not stored: the content is infected${reason === undefined ? '' : ` (${reason})`}`,
      details: { state: 'infected', ...(reason === undefined ? {} : { reason }) },
    });
  }

  #wrapped(error: unknown, operation: string): InfrastructureError {
    const origin = { component: 'storage', adapter: this.adapter, operation };
    return wrapError(this.relayed(error), origin, this.classify);
  }
}

function isVerdict(value: unknown): value is ScanVerdict {
  if (value === 'clean') return true;
  return (
    typeof value === 'object' &&
    value !== null &&
    'infected' in value &&
    typeof value.infected === 'string'
  );
}
