import type { FileStorageOptions } from '../options.ts';
import { FileStorage } from '../storage.ts';
import { type DiskDriverOptions, DiskStorageDriver } from './driver.ts';

export { DiskStorageDriver };

/** Options of {@link diskStorage}. */
export interface DiskStorageOptions extends DiskDriverOptions, FileStorageOptions {}

/**
 * Files in a folder of this machine, at their keys: `photos/cat.jpg` is the file `photos/cat.jpg`.
 *
 * @example
 * const files = diskStorage({ directory: 'data/files' });
 * await files.put('photos/cat.jpg', photo);
 */
export function diskStorage(options: DiskStorageOptions): FileStorage<DiskStorageDriver> {
  return new FileStorage(new DiskStorageDriver(options), options);
}
