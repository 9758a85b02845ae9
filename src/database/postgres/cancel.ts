import type { PoolClient } from 'pg';

import { pg } from './pg.ts';

/** What `pg` has and its types do not. */
interface CancellableClient {
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly ssl: unknown;
}

interface CancelConnection {
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

/**
 * Asks the server, on a connection of its own, to cancel what `client` runs
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS). Resolves when the server has
 * passed it on, which it has not yet carried out; rejects when it cannot be reached within `timeout` milliseconds.
 */
export async function requestCancel(client: PoolClient, timeout: number): Promise<void> {
  const { processID, secretKey, ssl } = client as unknown as CancellableClient;
  if (processID === null || secretKey === null) throw new Error('it is not connected');
  const connection = new pg.Connection({ ssl } as never);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const wire = connection as unknown as CancelConnection;
  if (ssl) {
    connection.once('connect', () => {
      wire.requestSsl();
    });
  }
  connection.once(ssl ? 'sslconnect' : 'connect', () => {
    wire.cancel(processID, secretKey);
  });
  connection.on('error', reject);
  // It answers nothing, and hangs up when it is done.
  connection.once('end', resolve);
  const timer = setTimeout(() => {
    reject(new Error(`the server did not take the request to cancel within ${timeout} ms`));
  }, timeout);
  try {
    if (client.host.startsWith('/')) wire.connect(`${client.host}/.s.PGSQL.${client.port}`);
    else wire.connect(client.port, client.host);
    await promise;
  } finally {
    clearTimeout(timer);
    connection.stream.destroy();
  }
}
