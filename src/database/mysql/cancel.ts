import { MysqlConnection, type MysqlConnectionOptions } from './connection.ts';

/**
 * Ends what the connection with this number runs, from a connection of its own. Resolves when the server has passed it on; rejects
 * when it cannot be reached within `timeout` milliseconds. A user needs no right to end statements of its own.
 */
export async function killQuery(
  options: MysqlConnectionOptions,
  threadId: number,
  timeout: number,
): Promise<void> {
  const connection = new MysqlConnection({ ...options, connectTimeout: timeout }, true);
  const timer = setTimeout(() => {
    connection.destroy();
  }, timeout);
  try {
    await connection.ready;
    await connection.query(`kill query ${threadId}`);
  } finally {
    clearTimeout(timer);
    if (connection.isLost) connection.destroy();
    else connection.end();
  }
}
