import type { S3Client } from '@aws-sdk/client-s3';

import { encodeKey } from '../key.ts';

/** Where a client's server is. The second, which finds `AWS_ENDPOINT_URL`, is not in the SDK's types. */
interface Endpoints {
  readonly endpoint?: () => Promise<{
    readonly protocol: string;
    readonly hostname: string;
    readonly port?: number | undefined;
    readonly path: string;
  }>;
  readonly serviceConfiguredEndpoint?: () => Promise<string | undefined>;
}

/** Where a server of S3 serves an object to everybody, should its owner let it. */
export async function publicUrlOf(client: S3Client, bucket: string, key: string): Promise<string> {
  const config = client.config as Endpoints & { readonly forcePathStyle?: boolean };
  const { protocol, host, pathname } = new URL(await serverOf(config));
  const base = pathname.replace(/\/$/, '');
  // A name with a dot has no certificate as a host.
  const isHost = config.forcePathStyle !== true && /^[a-z0-9-]+$/.test(bucket);
  return isHost
    ? `${protocol}//${bucket}.${host}${base}/${encodeKey(key)}`
    : `${protocol}//${host}${base}/${encodeURIComponent(bucket)}/${encodeKey(key)}`;
}

async function serverOf(config: Endpoints): Promise<string> {
  if (!config.endpoint)
    return (await config.serviceConfiguredEndpoint?.()) ?? 'https://s3.amazonaws.com';
  const { protocol, hostname, port, path } = await config.endpoint();
  return `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`;
}
