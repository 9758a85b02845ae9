import { invalidArgument } from '../../core/index.ts';
import type { PostgresTarget } from './postgres-driver.ts';

const origin = { component: 'database', adapter: 'postgres' } as const;

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
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Behind the host an @ or # is a part of a password that was not written as it must be, and is then read as another part.
  if (
    url === undefined ||
    !/^postgres(?:ql)?:$/.test(url.protocol) ||
    /[@#]/.test(url.pathname + url.search + url.hash)
  )
    throw invalidArgument(
      origin,
      'url is not written as postgres://USER:PASSWORD@HOST:PORT/DATABASE; write % as %25, and @, :, /, ? and # in a password as %40, %3A, %2F, %3F and %23',
    );
  const unknown = [...url.searchParams.keys()].find((name) => !['sslmode', 'host'].includes(name));
  if (unknown !== undefined)
    throw invalidArgument(
      origin,
      `url: "${unknown}" is no parameter: give sslmode or host, or an option`,
    );
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  const ssl = sslModes.get(mode);
  if (ssl === undefined)
    throw invalidArgument(origin, `url: sslmode is none of ${[...sslModes.keys()].join(', ')}`);
  const user = decode(url.username) || 'postgres';
  return {
    host:
      url.searchParams.get('host') ??
      (decode(url.hostname).replace(/^\[(.*)\]$/, '$1') || 'localhost'),
    port: url.port === '' ? 5432 : Number(url.port),
    database: decode(url.pathname.slice(1)) || user,
    user,
    password: url.password === '' ? undefined : decode(url.password),
    ssl,
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalidArgument(origin, 'url: a part of it is not written as a URL: write % as %25');
  }
}
