import { InfrastructureError } from '../core/index.ts';
import type { HttpResponse } from './request.ts';
import { isWithin, layQuery, type QueryParameters } from './url.ts';

interface PagesOptions<Body> {
  readonly first: URL;
  readonly base: URL;
  readonly fetchPage: (url: URL) => Promise<HttpResponse<Body>>;
  readonly next: ((page: HttpResponse<Body>) => QueryParameters | undefined) | undefined;
}

/** Yields the bodies of pages until there is no next one. A next page must lie under the base URL, and differ from this one. */
export async function* pages<Body>({
  first,
  base,
  fetchPage,
  next,
}: PagesOptions<Body>): AsyncGenerator<Body, void> {
  let url: URL | undefined = first;
  while (url !== undefined) {
    const page: HttpResponse<Body> = await fetchPage(url);
    yield page.body;
    const following: URL | undefined = next
      ? overlay(url, next(page))
      : linkedNext(url, page.headers);
    if (following !== undefined && !isWithin(base, following))
      throw refusal(`its next page is at ${following.origin}, which is not under the baseUrl`);
    if (following?.href === url.href) throw refusal('its next page is the same page again');
    url = following;
  }
}

function overlay(url: URL, query: QueryParameters | undefined): URL | undefined {
  if (query === undefined) return undefined;
  const following = new URL(url);
  layQuery(following, query);
  return following;
}

/** The target of the Link header (RFC 8288) whose relation is `next`. */
function linkedNext(url: URL, headers: Headers): URL | undefined {
  for (const link of headers.get('link')?.split(/,\s*(?=<)/) ?? []) {
    const [, target, parameters = ''] = /^\s*<([^>]*)>(.*)$/s.exec(link) ?? [];
    const [, relations = ''] = /;\s*rel\s*=\s*"?([^";]*)"?/i.exec(parameters) ?? [];
    const isNext = relations.toLowerCase().split(/\s+/).includes('next');
    if (target !== undefined && isNext && URL.canParse(target, url.href))
      return new URL(target, url);
  }
  return undefined;
}

function refusal(reason: string): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'http',
    adapter: 'fetch',
    operation: 'pages',
    message: `the service cannot be paged through: ${reason}`,
  });
}
