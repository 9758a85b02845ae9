import { invalidArgument, scrubCredentials } from '../core/index.ts';

const origin = { component: 'http' } as const;

/** The names in braces of a path such as `/users/{id}`. */
export type PathParameterNames<Path extends string> =
  Path extends `${string}{${infer Name}}${infer Rest}` ? Name | PathParameterNames<Rest> : never;

/** The values of a path's names. Each becomes one segment, or a part of one, and is escaped. */
export type PathParameters<Path extends string> = Readonly<
  Record<PathParameterNames<Path>, string | number | bigint>
>;

type QueryValue = string | number | bigint | boolean;

/** A query: `undefined` and `null` are left out, a list repeats its name. */
export type QueryParameters = Readonly<
  Record<string, QueryValue | readonly QueryValue[] | null | undefined>
>;

/** Checks a base URL: `http:` or `https:`, without credentials, query or fragment. Throws `invalid-argument`. */
export function parseBaseUrl(baseUrl: string | URL): URL {
  const text = String(baseUrl);
  if (!URL.canParse(text))
    throw invalidArgument(
      origin,
      `the baseUrl ${JSON.stringify(scrubCredentials(text))} is not a URL`,
    );
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalidArgument(
      origin,
      `the baseUrl starts with ${url.protocol}, not with http: or https:`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw invalidArgument(
      origin,
      'the baseUrl holds credentials, which would show in messages: give them as `auth`',
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw invalidArgument(
      origin,
      'the baseUrl has a query or a fragment: give those with each request',
    );
  }
  return url;
}

/** The URL of a request. No value can leave its segment, and no path the base URL. Throws `invalid-argument`. */
export function buildUrl(
  base: URL,
  path: string,
  {
    parameters = {},
    query = {},
  }: {
    readonly parameters?: Readonly<Record<string, unknown>> | undefined;
    readonly query?: QueryParameters | undefined;
  },
): URL {
  const used = new Set<string>();
  const filled = path.replace(/\{([^{}]*)\}/g, (_, name: string) => {
    used.add(name);
    return encodeParameter(name, Object.hasOwn(parameters, name) ? parameters[name] : undefined);
  });
  const unused = Object.keys(parameters).find((name) => !used.has(name));
  if (unused !== undefined) throw invalidArgument(origin, `the path ${path} has no {${unused}}`);
  if (!/^\/(?:[^/\\?#\s{}][^\\?#\s{}]*)?$/.test(filled)) {
    throw invalidArgument(
      origin,
      `the path ${JSON.stringify(path)} does not start with one "/", or holds a query, a fragment, a space or a backslash: give a query as \`query\``,
    );
  }
  const url = new URL(base);
  url.pathname = base.pathname.replace(/\/$/, '') + filled;
  // Also what a segment such as `%2e%2e` does to a path: the result is what counts.
  if (filled.split('/').some((segment) => isDotSegment(segment))) {
    throw invalidArgument(
      origin,
      `the path ${JSON.stringify(path)} has a segment "." or "..", which would change what it names`,
    );
  }
  layQuery(url, query);
  return url;
}

/** Sets the parameters of a query; one that is `undefined` or `null` is taken away. */
export function layQuery(url: URL, query: QueryParameters): void {
  for (const [name, value] of Object.entries(query)) {
    url.searchParams.delete(name);
    const values = (Array.isArray(value) ? value : [value]) as readonly (
      | QueryValue
      | null
      | undefined
    )[];
    for (const each of values) {
      if (each !== undefined && each !== null) url.searchParams.append(name, String(each));
    }
  }
}

/** Whether a URL lies under the base URL. */
export function isWithin(base: URL, url: URL): boolean {
  const prefix = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`;
  return (
    url.origin === base.origin &&
    url.username === '' &&
    url.password === '' &&
    (url.pathname === base.pathname || url.pathname.startsWith(prefix))
  );
}

function encodeParameter(name: string, value: unknown): string {
  const isSegment =
    typeof value === 'string'
      ? value !== '' && value.isWellFormed()
      : typeof value === 'number' || typeof value === 'bigint';
  if (!isSegment)
    throw invalidArgument(
      origin,
      `the path parameter "${name}" is missing, empty, or no text or number`,
    );
  return encodeURIComponent(String(value));
}

function isDotSegment(segment: string): boolean {
  const plain = segment.replaceAll(/%2e/gi, '.');
  return plain === '.' || plain === '..';
}
