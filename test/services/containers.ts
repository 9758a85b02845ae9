import { randomUUID } from 'node:crypto';

import { ContainerClient } from '@azure/storage-blob';

/** A container of a test's own. */
export interface TestContainer {
  /** What `azureStorage` needs to use it. */
  readonly options: { readonly container: string; readonly connectionString: string };
  /** Deletes it with all that is in it. */
  readonly remove: () => Promise<void>;
}

/** Makes an empty container on the server with this URL, under a name of its own unless one is given. */
export async function makeContainer(
  url: string,
  container = `underpin-${randomUUID()}`,
): Promise<TestContainer> {
  const connectionString = connectionStringOf(url);
  const client = new ContainerClient(connectionString, container);
  await client.create();
  return {
    options: { container, connectionString },
    remove: async () => void (await client.delete()),
  };
}

/** The address of a server as Azure's tools write it. `at`: another way to the same server. */
export function connectionStringOf(url: string, at: string = url): string {
  const { protocol, username, password } = new URL(url);
  const account = decodeURIComponent(username);
  return [
    `DefaultEndpointsProtocol=${protocol.slice(0, -1)}`,
    `AccountName=${account}`,
    `AccountKey=${decodeURIComponent(password)}`,
    `BlobEndpoint=${new URL(at).origin}/${account}`,
    '',
  ].join(';');
}
