import {
  type ByteSize,
  type CallOptions,
  type Classification,
  type Clock,
  type ComponentOptions,
  definePolicy,
  type Policy,
  type Schema,
} from '../core/index.ts';
import type { HttpAuth } from './auth.ts';
import type { HttpBody } from './body.ts';
import type { PathParameterNames, PathParameters, QueryParameters } from './url.ts';

/** The methods that a client sends. */
export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** An answer that is a success (2xx). */
export interface HttpResponse<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** An answer that is none, for {@link HttpClientOptions.classify}. */
export interface HttpErrorAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON, or text; cut after 64 KiB. */
  readonly body: unknown;
}

/** The default policy of an {@link HttpClient}: two retries of what is safe to repeat, 10 s an attempt, 30 s in all. */
export const defaultHttpPolicy: Policy = definePolicy('http', {
  timeout: '30s',
  retry: { attempts: 2 },
  attemptTimeout: '10s',
});

/** Options of {@link httpClient}. */
export interface HttpClientOptions extends ComponentOptions {
  /** What every path is under, such as `https://api.example.com/v1`. No request leaves it. */
  readonly baseUrl: string | URL;
  readonly auth?: HttpAuth;
  /** Sent with every request. Not for credentials: those are `auth`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The most bytes of an answer. Default 10 MiB. */
  readonly maxResponseSize?: ByteSize;
  /** Reads the service's own error answers; `undefined` leaves one to the status. */
  readonly classify?: (answer: HttpErrorAnswer) => Classification | undefined;
  /** Default {@link defaultHttpPolicy}. */
  readonly policy?: Policy;
  readonly clock?: Clock;
  /** Default the platform's. For a proxy or an agent of your own; redirects must stay `manual`. */
  readonly fetch?: typeof fetch;
}

/** How an answer's body is read. */
export type BodyKind = 'json' | 'text' | 'bytes';

interface RequestFields<Body, Kind extends BodyKind> extends CallOptions {
  readonly query?: QueryParameters;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body as JSON. */
  readonly json?: unknown;
  /** Any other body. */
  readonly body?: HttpBody;
  /** Validates the answer's JSON, and gives the body its type. Without it the body is `unknown`. */
  readonly response?: Schema<Body>;
  /** How the answer's body is read. Default `json`; an empty body is `undefined`. */
  readonly as?: Kind;
  /** Sent as `Idempotency-Key`: the service does the same key once, so the request may be retried. */
  readonly idempotencyKey?: string;
}

/** Options of a request. `path` is required for a path with names in braces. */
export type RequestOptions<
  Path extends string = string,
  Body = unknown,
  Kind extends BodyKind = BodyKind,
> = RequestFields<Body, Kind> &
  ([PathParameterNames<Path>] extends [never]
    ? { readonly path?: never }
    : { readonly path: PathParameters<Path> });

/** The options argument, which may be left out where nothing in it is required. */
export type RequestArguments<Path extends string, Options> = [PathParameterNames<Path>] extends [
  never,
]
  ? [options?: Options]
  : [options: Options];

/** What the body of an answer is read as. */
export type ReadBody<Body, Kind extends BodyKind> = Kind extends 'text'
  ? string
  : Kind extends 'bytes'
    ? Uint8Array<ArrayBuffer>
    : Body;

/** Options of {@link HttpClient.pages}. */
export type PagesOptions<Path extends string = string, Body = unknown> = RequestOptions<
  Path,
  Body,
  'json'
> & {
  /** The query of the next page, laid over that of this one; `undefined` after the last. Default: by the Link header. */
  readonly next?: (page: HttpResponse<Body>) => QueryParameters | undefined;
};

/** The loosely typed options that the implementation works with, once the public types have done their work. */
export type AnyRequestOptions = RequestFields<unknown, BodyKind> & {
  readonly path?: Readonly<Record<string, unknown>>;
};
