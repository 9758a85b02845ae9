import type { ContainerClient } from '@azure/storage-blob';

import { definePolicy, invalidArgument, type Policy } from '../../core/index.ts';
import type { FileStorageOptions } from '../options.ts';
import { FileStorage } from '../storage.ts';
import { type AzureAccess, type AzureTokenCredential, connect } from './client.ts';
import { AzureStorageDriver } from './driver.ts';

export { AzureStorageDriver, type AzureTokenCredential };

/** Options of {@link azureStorage}. */
export interface AzureStorageOptions extends FileStorageOptions, AzureAccess {
  readonly container: string;
  /**
   * A client of your own for this container, which you close. Then nothing else says where and as whom. It should have
   * `retryOptions: { maxTries: 1 }`, since the policy retries.
   */
  readonly client?: ContainerClient;
}

/** Further attempts of what is safe to repeat. No timeout of the whole: nobody knows how large a file is. */
const defaultPolicy: Policy = definePolicy('azure', { retry: { attempts: 3 } });

/**
 * Files in a container of Azure Blob Storage, as block blobs. Needs the optional peer `@azure/storage-blob`.
 *
 * Throws `invalid-argument` for what is not the name of a container, and unless there is exactly one way to the account:
 * `connectionString`, or `accountName` and `accountKey`, or `credential` with `accountName` or `endpoint`.
 *
 * @example
 * const files = azureStorage({ container: 'pictures', accountName: 'shop', accountKey });
 * await files.put('photos/cat.jpg', photo);
 */
export function azureStorage(options: AzureStorageOptions): FileStorage<AzureStorageDriver> {
  const { container, policy = defaultPolicy, client } = options;
  if (!/^(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*$/.test(container))
    throw invalidArgument(
      { component: 'storage', adapter: 'azure' },
      `container ${JSON.stringify(container)} is not the name of a container: 3 to 63 lower-case letters, digits and single dashes between them`,
    );
  const connection = client ? { client } : connect(container, options);
  const disconnect = 'close' in connection ? { disconnect: connection.close } : {};
  const driver = new AzureStorageDriver({ client: connection.client, ...disconnect, policy });
  return new FileStorage(driver, { ...options, policy });
}
