import { isIP } from 'node:net';

import { invalidArgument } from '../../core/index.ts';
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
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Behind the host an @ or # is a part of a password that was not written as it must be, and is then read as another part.
  if (
    url === undefined ||
    !/^(?:mysql|mariadb):$/.test(url.protocol) ||
    /[@#]/.test(url.pathname + url.search + url.hash)
  )
    throw invalidArgument(
      origin,
      'url is not written as mysql://USER:PASSWORD@HOST:PORT/DATABASE; write % as %25, and @, :, /, ? and # in a password as %40, %3A, %2F, %3F and %23',
    );
  const unknown = [...url.searchParams.keys()].find(
    (name) => !['ssl-mode', 'socket'].includes(name),
  );
  if (unknown !== undefined)
    throw invalidArgument(
      origin,
      `url: "${unknown}" is no parameter: give ssl-mode or socket, or an option`,
    );
  const mode = (url.searchParams.get('ssl-mode') ?? 'DISABLED').toUpperCase();
  if (!sslModes.has(mode))
    throw invalidArgument(origin, `url: ssl-mode is none of ${[...sslModes.keys()].join(', ')}`);
  const host = decode(url.hostname).replace(/^\[(.*)\]$/, '$1') || 'localhost';
  const user = decode(url.username) || 'root';
  const target: UrlTarget = {
    host,
    port: url.port === '' ? 3306 : Number(url.port),
    socket: url.searchParams.get('socket') ?? undefined,
    database: decode(url.pathname.slice(1)) || user,
    user,
    password: url.password === '' ? undefined : decode(url.password),
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

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalidArgument(origin, 'url: a part of it is not written as a URL: write % as %25');
  }
}
