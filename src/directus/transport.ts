import { type Clock, InfrastructureError } from '../core/index.ts';
import { classifyAnswer, describeRequest } from './errors.ts';

const MAX_ERROR_BYTES = 64 * 1024;

/** The endpoints that answer with JSON or with nothing. Others, such as assets and flows, may answer with anything. */
const JSON_ROOTS: ReadonlySet<string> = new Set([
  'activity',
  'auth',
  'collections',
  'comments',
  'dashboards',
  'extensions',
  'fields',
  'files',
  'folders',
  'graphql',
  'items',
  'notifications',
  'operations',
  'panels',
  'permissions',
  'policies',
  'presets',
  'relations',
  'revisions',
  'roles',
  'schema',
  'settings',
  'shares',
  'translations',
  'users',
  'versions',
]);

/** The fetch that the SDK gets. */
export type DirectusFetch = (input: string | URL, init?: RequestInit) => Promise<Response>;

/**
 * Wraps fetch so that every failure is thrown. The SDK alone resolves a 5xx that has no content type with the raw Response, gives an empty
 * message for an HTML error page, and takes a login page that a proxy puts before Directus for an answer.
 */
export function throwingFetch(
  base: URL,
  { send, clock }: { readonly send: typeof fetch; readonly clock: Clock },
): DirectusFetch {
  const prefix = base.pathname.replace(/\/$/, '');
  return async (input, init = {}) => {
    const url = new URL(input);
    const pathname = url.pathname.slice(prefix.length);
    const request = describeRequest(init.method ?? 'GET', pathname);
    const origin = { component: 'directus', adapter: 'rest', operation: 'request' } as const;
    // A redirect can turn a POST into a GET, and leads credentials elsewhere.
    const response = await send(url, { ...init, redirect: 'manual' });
    const { status, headers } = response;
    if (!response.ok) {
      throw new InfrastructureError({
        ...classifyAnswer(
          { status, headers, errors: await readErrors(response) },
          { request, now: clock.now() },
        ),
        ...origin,
      });
    }
    const isJson = /^application\/(?:[\w.-]+\+)?json\b/i.test(headers.get('content-type') ?? '');
    if (status === 204 || isJson || !JSON_ROOTS.has(pathname.split('/')[1] ?? '')) return response;
    await response.body?.cancel();
    throw new InfrastructureError({
      ...origin,
      code: 'data-loss',
      details: { status },
      message: `${request} was answered with ${status} and ${headers.get('content-type') ?? 'no content type'} instead of JSON: something else than Directus answers at this url`,
    });
  };
}

/** The `errors` of a body, as far as it is JSON and not too long to be one. */
async function readErrors(response: Response): Promise<unknown> {
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += (chunk as Uint8Array).byteLength;
      if (size > MAX_ERROR_BYTES) return undefined;
      chunks.push(chunk as Uint8Array);
    }
    return (
      JSON.parse(Buffer.concat(chunks).toString('utf8')) as { readonly errors?: unknown } | null
    )?.errors;
  } catch {
    return undefined;
  }
}
