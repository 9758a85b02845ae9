import type { CallOptions } from '../../core/index.ts';
import type { StorageCapabilities } from '../driver.ts';
import { checkKey, checkPrefix } from '../key.ts';
import { FileStorage } from '../storage.ts';
import type { QuarantinedOptions, ScanReport } from './quarantine-options.ts';
import { QuarantinedDriver } from './quarantined-driver.ts';

export type {
  QuarantinedCapabilities,
  QuarantinedOptions,
  ScanReport,
  ScanVerdict,
} from './quarantine-options.ts';

/** A storage that serves nothing before it was scanned; see {@link quarantined}. */
export class QuarantinedStorage<
  Inner extends StorageCapabilities = StorageCapabilities,
> extends FileStorage<QuarantinedDriver<Inner>> {
  /** Scans what is pending of one key, such as what a signed upload brought. As {@link QuarantinedStorage.scanPending}. */
  async scan(key: string, { signal }: CallOptions = {}): Promise<ScanReport> {
    checkKey(key, { component: this.component, adapter: this.adapter, operation: 'scan' });
    return await this.run(
      'scan',
      { key },
      { signal, repeatable: true, guarded: false },
      async (current) => await this.driver.scan({ key }, current),
    );
  }

  /**
   * Scans all that is pending below a prefix (default: everywhere), releases what is clean and puts aside what is infected. Safe to call again, and from
   * several processes at once. What a scanner failed on stands in `failed` and stays pending; the rest goes on.
   */
  async scanPending({
    prefix = '',
    signal,
  }: { readonly prefix?: string } & CallOptions = {}): Promise<ScanReport> {
    checkPrefix(prefix, { component: this.component, adapter: this.adapter, operation: 'scan' });
    return await this.run(
      'scan',
      { prefix },
      { signal, repeatable: true, guarded: false },
      async (current) => await this.driver.scan({ prefix }, current),
    );
  }

  /** As for every storage; what is pending goes too, and is not counted. */
  override async deletePrefix(prefix: string, { signal }: CallOptions = {}): Promise<number> {
    // An empty one is refused below.
    if (prefix !== '') {
      const operation = 'deletePrefix';
      checkPrefix(prefix, { component: this.component, adapter: this.adapter, operation });
      await this.run('deletePending', { prefix }, { signal, repeatable: true }, async (current) => {
        await this.driver.removePending(prefix, current);
      });
    }
    return await super.deletePrefix(prefix, { signal });
  }
}

/**
 * A storage whose files are served only once a scanner has found them clean. Until then, and for good when they are infected, they are
 * `not-found` to every call; `get` says which by `details.state`. In the storage below, what is served lies at `clean/`, what is pending at `inbox/` and
 * `held/`, and what is infected at `dirty/`, for whoever holds that storage to look at and to delete. A version is scanned where nobody can change it any more.
 *
 * `put` scans at once, unless `deferred`. What signed uploads bring is pending until {@link QuarantinedStorage.scan}.
 *
 * @example
 * const files = quarantined(s3Storage({ bucket }), { scan: async (file) => await clamav(file.stream()) });
 * const { infected } = await files.scan('in/report.pdf');
 */
export function quarantined<Inner extends FileStorage>(
  storage: Inner,
  options: QuarantinedOptions,
): QuarantinedStorage<Inner['capabilities']> {
  return new QuarantinedStorage(new QuarantinedDriver(storage, options, storage.capabilities));
}
