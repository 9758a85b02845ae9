export type { ExpiringToken, HttpAuth, TokenProvider } from './auth.ts';
export type { HttpBody } from './body.ts';
export { HttpClient, httpClient } from './http.ts';
export {
  type BodyKind,
  defaultHttpPolicy,
  type HttpClientOptions,
  type HttpErrorAnswer,
  type HttpMethod,
  type HttpResponse,
  type PagesOptions,
  type ReadBody,
  type RequestArguments,
  type RequestOptions,
} from './request.ts';
export type { PathParameterNames, PathParameters, QueryParameters } from './url.ts';
