import type { CallOptions } from '../../core/index.ts';
import type { StorageCapabilities } from '../driver.ts';
import { checkPrefix } from '../key.ts';
import { FileStorage } from '../storage.ts';
import { MirroredDriver, type MirroredOptions, type RepairReport } from './mirrored-driver.ts';

export type { MirroredCapabilities, MirroredOptions, RepairReport } from './mirrored-driver.ts';

/** A storage that keeps every file in several others; see {@link mirrored}. */
export class MirroredStorage<
  Primary extends StorageCapabilities = StorageCapabilities,
> extends FileStorage<MirroredDriver<Primary>> {
  /**
   * Brings to each secondary what it does not hold as the primary does, for all keys that start with the prefix (default: all): after an outage of a
   * secondary, or to fill a new one. Safe to call again, and while the storage is used.
   *
   * `prune`: whether what the primary does not hold is deleted from the secondaries. Default no, since a primary that lost its
   * files must not take the copies with it.
   */
  async repair({
    prefix = '',
    prune = false,
    signal,
  }: {
    readonly prefix?: string;
    readonly prune?: boolean;
  } & CallOptions = {}): Promise<RepairReport> {
    checkPrefix(prefix, { component: this.component, adapter: this.adapter, operation: 'repair' });
    return await this.run(
      'repair',
      { prefix },
      { signal, repeatable: true, guarded: false },
      async (current) => await this.driver.repair(prefix, { prune, signal: current }),
    );
  }
}

/**
 * A storage that keeps every file in a primary and in one or more secondaries. A write is done when all of them hold it; the
 * primary goes first and decides the conditions. Where it has written and a secondary has not, the error's outcome is `applied`, and
 * `details.behind` counts the secondaries from 0: writing again or {@link MirroredStorage.repair} mends it. Reads go to the primary and, when it is
 * `unavailable` or does not answer in time, to the secondaries in their order. All of them stay their owner's to close.
 *
 * Throws `invalid-argument` without a secondary.
 *
 * @example
 * const files = mirrored(s3Storage({ bucket }), [diskStorage({ directory: '/mnt/mirror' })]);
 */
export function mirrored<Primary extends FileStorage>(
  primary: Primary,
  secondaries: readonly FileStorage[],
  options: MirroredOptions = {},
): MirroredStorage<Primary['capabilities']> {
  const { capabilities } = primary;
  return new MirroredStorage(
    new MirroredDriver(primary, secondaries, { ...options, capabilities }),
  );
}
