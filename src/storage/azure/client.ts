import { type ClientRequestArgs, Agent as HttpAgent } from 'node:http';
import { type RequestOptions, Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';

import type {
  AnonymousCredential,
  ContainerClient,
  RequestPolicyFactory,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';

import { invalidArgument, redact, type Secret } from '../../core/index.ts';
import { azure } from './sdk.ts';

/** What `@azure/identity` gives, such as a `DefaultAzureCredential`. */
export type AzureTokenCredential = Exclude<
  ContainerClient['credential'],
  StorageSharedKeyCredential | AnonymousCredential
>;

/** Who may use which account, in one of three ways. */
export interface AzureAccess {
  /** As the portal shows it under the account's access keys, or one with a shared access signature. */
  readonly connectionString?: Secret;
  /** In place of a connection string. */
  readonly accountName?: string;
  /** One of the account's two keys. */
  readonly accountKey?: Secret;
  /** Without an account's key: `new DefaultAzureCredential()` of `@azure/identity`, for instance. */
  readonly credential?: AzureTokenCredential;
  /** Where the account's blobs are. Default: `https://ACCOUNT.blob.core.windows.net`. */
  readonly endpoint?: string;
}

/** A client of one container, and the end of its connections. */
export interface Connection {
  readonly client: ContainerClient;
  readonly close: () => void;
}

const origin = { component: 'storage', adapter: 'azure' };
// Nothing on the wire for this long is a dead connection, however large the file is. Copies within Azure are silent for some time.
const silenceMs = 60_000;

/** Connects to a container. Does no I/O. */
export function connect(container: string, access: AzureAccess): Connection {
  const { url, credential } = identify(container, access);
  const agent = new (url.startsWith('https:') ? WatchedHttpsAgent : WatchedHttpAgent)({
    keepAlive: true,
    timeout: silenceMs,
  });
  // The policy retries.
  const pipeline = azure.newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(usingAgent(agent));
  return { client: new azure.ContainerClient(url, pipeline), close: () => agent.destroy() };
}

function identify(
  container: string,
  access: AzureAccess,
): {
  readonly url: string;
  readonly credential: ContainerClient['credential'];
} {
  const { connectionString, accountName, accountKey, credential, endpoint } = access;
  const ways = [connectionString, accountKey, credential].filter((way) => way !== undefined);
  if (ways.length !== 1)
    throw invalidArgument(
      origin,
      'give one way to the account: connectionString, or accountName and accountKey, or credential with accountName or endpoint',
    );
  if (connectionString !== undefined && (accountName !== undefined || endpoint !== undefined))
    throw invalidArgument(
      origin,
      'connectionString says which account and where: leave out accountName and endpoint',
    );
  if (connectionString !== undefined)
    return fromConnectionString(container, redact(connectionString).reveal());
  if (endpoint !== undefined && !/^https?:\/\/[^@?#]+$/.test(endpoint))
    throw invalidArgument(
      origin,
      'endpoint is not a URL without credentials, such as https://ACCOUNT.blob.core.windows.net',
    );
  if (accountName !== undefined && !/^[a-z0-9]{3,24}$/.test(accountName))
    throw invalidArgument(
      origin,
      `accountName ${JSON.stringify(accountName)} is not the name of an account: 3 to 24 lower-case letters and digits`,
    );
  if (accountName === undefined && (accountKey !== undefined || endpoint === undefined))
    throw invalidArgument(origin, 'accountName is missing: give the name of the account');
  const base = endpoint?.replace(/\/$/, '') ?? `https://${accountName}.blob.core.windows.net`;
  const url = `${base}/${container}`;
  if (accountKey === undefined || accountName === undefined)
    // It is one of the ways, and the two others are not given.
    return { url, credential: credential as AzureTokenCredential };
  const key = redact(accountKey).reveal();
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key))
    throw invalidArgument(origin, 'accountKey is not Base64: copy it whole');
  return { url, credential: new azure.StorageSharedKeyCredential(accountName, key) };
}

function fromConnectionString(
  container: string,
  connectionString: string,
): Pick<ContainerClient, 'url' | 'credential'> {
  try {
    return new azure.ContainerClient(connectionString, container);
  } catch {
    // Its message may quote what it was given.
    throw invalidArgument(
      origin,
      'connectionString is none of Azure Storage: copy it whole, as the portal shows it under "Access keys"',
    );
  }
}

/** Lets requests go through an agent of the adapter's own. */
function usingAgent(agent: HttpAgent): RequestPolicyFactory {
  return {
    create: (next) => ({
      sendRequest: async (request) => {
        request.agent = agent;
        return await next.sendRequest(request);
      },
    }),
  };
}

class WatchedHttpAgent extends HttpAgent {
  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    return watched(super.createConnection(options, callback));
  }
}

class WatchedHttpsAgent extends HttpsAgent {
  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    return watched(super.createConnection(options, callback));
  }
}

/** Node tells of a silent connection, and leaves it open. */
function watched<Socket extends Duplex | null | undefined>(socket: Socket): Socket {
  socket?.on('timeout', () => {
    socket.destroy(
      Object.assign(new Error(`nothing was heard for ${silenceMs / 1000} s`), {
        code: 'ETIMEDOUT',
      }),
    );
  });
  return socket;
}
