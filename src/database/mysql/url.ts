import { isIP } from 'node:net';

import { invalidArgument } from '../../core/index.ts';
import { parseServerUrl } from '../server-url.ts';
import type { MysqlTarget } from './mysql-driver.ts';

const origin = { component: 'database', adapter: 'mysql' } as const;

/** What MySQL's clients call `ssl-mode`, as `mysql2` has it. */
const sslModes: ReadonlyMap<string, object | undefined> = new Map<string, object | undefined>([
  ['DISABLED', undefined],
  // As MySQL means it: encrypted, to whoever answers.
  ['REQUIRED', { rejectUnauthorized: false }],
  ['VERIFY_CA', { rejectUnauthorized: true }],
  ['VERIFY_IDENTITY', { rejectUnauthorized: true, verifyIdentity: true }],
]);

/** What a URL of a database says. */
export type UrlTarget = Omit<MysqlTarget, 'password'> & {
  readonly password: string | undefined;
};

/**
 * Reads `mysql://USER:PASSWORD@HOST:PORT/DATABASE?ssl-mode=VERIFY_IDENTITY`; `mariadb:` is the same. Throws `invalid-argument`
 * for what is none; the message never holds the URL, which may hold a password.
 */
export function parseMysqlUrl(text: string): UrlTarget {
  const { parameters, ...said } = parseServerUrl(text, {
    adapter: 'mysql',
    schemes: ['mysql', 'mariadb'],
    parameters: ['ssl-mode', 'socket'],
    defaults: { port: 3306, user: 'root' },
  });
  const mode = (parameters.get('ssl-mode') ?? 'DISABLED').toUpperCase();
  if (!sslModes.has(mode))
    throw invalidArgument(origin, `url: ssl-mode is none of ${[...sslModes.keys()].join(', ')}`);
  const target: UrlTarget = {
    ...said,
    socket: parameters.get('socket') ?? undefined,
    ssl: sslModes.get(mode),
  };
  assertVerifiable(target);
  return target;
}

/** Refuses to promise what `mysql2` does not do: of an address it checks no identity. */
export function assertVerifiable({ host, ssl }: Pick<MysqlTarget, 'host' | 'ssl'>): void {
  if (ssl !== undefined && 'verifyIdentity' in ssl && ssl.verifyIdentity && isIP(host) !== 0)
    throw invalidArgument(
      origin,
      'the identity of a server is checked by its name, and the URL has an address: write the name, or ask for ssl-mode VERIFY_CA (with the option ssl, verifyIdentity: false)',
    );
}
