import { invalidArgument } from '../core/index.ts';

/** What a URL of a server's database says, beside its parameters. */
export interface ServerUrl {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
}

/** How an adapter's URLs are written. */
export interface ServerUrlForm {
  readonly adapter: string;
  /** The scheme that messages name, and others that mean the same. */
  readonly schemes: readonly [string, ...string[]];
  /** The parameters that there are. */
  readonly parameters: readonly string[];
  /** In place of what the URL leaves out. */
  readonly defaults: { readonly port: number; readonly user: string };
}

/**
 * Reads `SCHEME://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETER=VALUE`, where each part may be left out: the host is then `localhost`,
 * and the database called as the user. Throws `invalid-argument` for what is none; the message never holds the URL, which may hold a
 * password.
 */
export function parseServerUrl(
  text: string,
  { adapter, schemes, parameters, defaults }: ServerUrlForm,
): ServerUrl & { readonly parameters: URLSearchParams } {
  const origin = { component: 'database', adapter };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // Behind the host an @ or # is a part of a password that was not written as it must be, and is then read as another part.
  if (
    url === undefined ||
    !schemes.includes(url.protocol.slice(0, -1)) ||
    /[@#]/.test(url.pathname + url.search + url.hash)
  )
    throw invalidArgument(
      origin,
      `url is not written as ${schemes[0]}://USER:PASSWORD@HOST:PORT/DATABASE; write % as %25, and @, :, /, ? and # in a password as %40, %3A, %2F, %3F and %23`,
    );
  const unknown = [...url.searchParams.keys()].find((name) => !parameters.includes(name));
  if (unknown !== undefined)
    throw invalidArgument(
      origin,
      `url: "${unknown}" is no parameter: give ${parameters.join(' or ')}, or an option`,
    );
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw invalidArgument(origin, 'url: a part of it is not written as a URL: write % as %25');
    }
  };
  const user = decode(url.username) || defaults.user;
  return {
    host: decode(url.hostname).replace(/^\[(.*)\]$/, '$1') || 'localhost',
    port: url.port === '' ? defaults.port : Number(url.port),
    database: decode(url.pathname.slice(1)) || user,
    user,
    password: url.password === '' ? undefined : decode(url.password),
    parameters: url.searchParams,
  };
}
