import { invalidArgument } from '../../core/index.ts';
import { parseServerUrl } from '../server-url.ts';
import type { PostgresTarget } from './postgres-driver.ts';

/** What libpq calls `sslmode`, as options of Node's TLS. */
const sslModes: ReadonlyMap<string, boolean | object> = new Map<string, boolean | object>([
  ['disable', false],
  // As libpq means it: encrypted, to whoever answers.
  ['require', { rejectUnauthorized: false }],
  ['verify-full', true],
]);

/** What a URL of a database says. */
export type UrlTarget = Omit<PostgresTarget, 'password'> & {
  readonly password: string | undefined;
};

/**
 * Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`. Throws `invalid-argument` for what is none; the
 * message never holds the URL, which may hold a password.
 */
export function parsePostgresUrl(text: string): UrlTarget {
  const { parameters, ...said } = parseServerUrl(text, {
    adapter: 'postgres',
    schemes: ['postgres', 'postgresql'],
    parameters: ['sslmode', 'host'],
    defaults: { port: 5432, user: 'postgres' },
  });
  const ssl = sslModes.get(parameters.get('sslmode') ?? 'disable');
  if (ssl === undefined)
    throw invalidArgument(
      { component: 'database', adapter: 'postgres' },
      `url: sslmode is none of ${[...sslModes.keys()].join(', ')}`,
    );
  // As libpq has it, the folder of a socket stands for the host.
  return { ...said, host: parameters.get('host') ?? said.host, ssl };
}
