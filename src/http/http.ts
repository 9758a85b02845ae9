import {
  type Capabilities,
  classifyFetchError,
  classifyHttpStatus,
  type Clock,
  Component,
  type Driver,
  InfrastructureError,
  invalidArgument,
  type OperationAttributes,
  parseWithSchema,
  type Redacted,
  systemClock,
  toBytes,
  withOutcome,
} from '../core/index.ts';
import { Authorization } from './auth.ts';
import { readBounded, toJson } from './body.ts';
import { checkHeaders, toHeaders, withAuthorization } from './headers.ts';
import { pages } from './pages.ts';
import {
  type AnyRequestOptions,
  type BodyKind,
  defaultHttpPolicy,
  type HttpClientOptions,
  type HttpMethod,
  type HttpResponse,
  type PagesOptions,
  type ReadBody,
  type RequestArguments,
  type RequestOptions,
} from './request.ts';
import { buildUrl, parseBaseUrl } from './url.ts';

interface FetchDriver extends Driver {
  readonly adapter: 'fetch';
  readonly capabilities: Capabilities;
  readonly native: typeof fetch;
}

const SAFE_METHODS: ReadonlySet<HttpMethod> = new Set<HttpMethod>(['GET', 'HEAD']);
const MAX_REDIRECTS = 5;
const MAX_ERROR_BYTES = 64 * 1024;
const origin = { component: 'http', adapter: 'fetch' } as const;

/**
 * A client of one third-party service. There is one transport, the platform's fetch, so the room has no adapters to choose from.
 *
 * @example
 * const github = httpClient({ baseUrl: 'https://api.github.com', auth: { bearer: env.secret('GITHUB_TOKEN') } });
 * const issue = await github.get('/repos/{owner}/{repo}/issues/{number}', { path: { owner, repo, number: 7 }, response: Issue });
 */
export function httpClient(options: HttpClientOptions): HttpClient {
  return new HttpClient(options);
}

/**
 * Sends requests under one base URL. An answer that is no success is thrown: `unauthenticated` (401), `permission-denied`
 * (403), `not-found` (404, 410), `failed-precondition` (409, 412), `resource-exhausted` (429), `invalid-argument` (other 4xx),
 * `unavailable`, `deadline-exceeded` or `internal` (5xx), with the status in `details`. Redirects are followed within the base
 * URL's origin, for GET and HEAD only.
 */
export class HttpClient extends Component<FetchDriver> {
  readonly baseUrl: URL;
  readonly #authorization: Authorization;
  readonly #headers: Headers;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #fetch: typeof fetch;
  readonly #classify: NonNullable<HttpClientOptions['classify']>;

  constructor(options: HttpClientOptions) {
    const send = options.fetch ?? globalThis.fetch;
    const clock = options.clock ?? systemClock;
    const authorization = new Authorization(options.auth, clock);
    const driver: FetchDriver = {
      adapter: 'fetch',
      capabilities: {},
      native: send,
      classify: classifyFetchError,
      close: async () => {
        authorization.close();
      },
    };
    super('http', driver, { policy: options.policy ?? defaultHttpPolicy });
    this.baseUrl = parseBaseUrl(options.baseUrl);
    this.#authorization = authorization;
    this.#headers = checkHeaders(options.headers);
    this.#maxBytes = toBytes(options.maxResponseSize ?? '10MiB');
    this.#clock = clock;
    this.#fetch = send;
    this.#classify = options.classify ?? (() => undefined);
  }

  /** GETs and gives the body. Retried. */
  async get<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<ReadBody<Body, Kind>> {
    return await this.#body('GET', path, rest[0]);
  }

  /** POSTs and gives the body. Retried with an `idempotencyKey`, or when it certainly did not arrive. */
  async post<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<ReadBody<Body, Kind>> {
    return await this.#body('POST', path, rest[0]);
  }

  /** PUTs and gives the body. Retried like {@link HttpClient.post}. */
  async put<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<ReadBody<Body, Kind>> {
    return await this.#body('PUT', path, rest[0]);
  }

  /** PATCHes and gives the body. Retried like {@link HttpClient.post}. */
  async patch<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<ReadBody<Body, Kind>> {
    return await this.#body('PATCH', path, rest[0]);
  }

  /** DELETEs and gives the body. Retried like {@link HttpClient.post}. */
  async delete<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<ReadBody<Body, Kind>> {
    return await this.#body('DELETE', path, rest[0]);
  }

  /** Sends any method, and gives status and headers too. */
  async request<const Path extends string, Body = unknown, Kind extends BodyKind = 'json'>(
    method: HttpMethod,
    path: Path,
    ...rest: RequestArguments<Path, RequestOptions<Path, Body, Kind>>
  ): Promise<HttpResponse<ReadBody<Body, Kind>>> {
    return (await this.#request(method, path, rest[0])) as HttpResponse<ReadBody<Body, Kind>>;
  }

  /**
   * The bodies of all pages, one request each, fetched when asked for. The next page is what the Link header's `next` names, or the
   * query that `next` gives, which is laid over the one before; `undefined` ends it.
   *
   * @example
   * for await (const issues of github.pages('/issues', { response: Issues, query: { per_page: 100 } })) …
   */
  async *pages<const Path extends string, Body = unknown>(
    path: Path,
    ...rest: RequestArguments<Path, PagesOptions<Path, Body>>
  ): AsyncGenerator<Body, void> {
    const { next, ...options } = rest[0] ?? {};
    const plain = options as AnyRequestOptions;
    const first = buildUrl(this.baseUrl, path, { parameters: plain.path, query: plain.query });
    const fetchPage = async (url: URL): Promise<HttpResponse<Body>> =>
      (await this.#request('GET', path, plain, url)) as HttpResponse<Body>;
    yield* pages({ first, base: this.baseUrl, fetchPage, next });
  }

  async #body<Body>(
    method: HttpMethod,
    path: string,
    options: AnyRequestOptions | undefined,
  ): Promise<Body> {
    return (await this.#request(method, path, options)).body as Body;
  }

  #request(
    method: HttpMethod,
    path: string,
    options: AnyRequestOptions = {},
    at?: URL,
  ): Promise<HttpResponse<unknown>> {
    // The path as it was declared: what fills it may be personal, and would make a metric of every value.
    const attributes: OperationAttributes = { method, host: this.baseUrl.host, path };
    const repeatable = SAFE_METHODS.has(method) || options.idempotencyKey !== undefined;
    return this.run(
      'request',
      attributes,
      { signal: options.signal, repeatable },
      async (signal) => {
        const url =
          at ?? buildUrl(this.baseUrl, path, { parameters: options.path, query: options.query });
        const request = this.#prepare(method, options);
        const response = await this.#sendAuthorized(url, request, signal);
        attributes['status'] = response.status;
        if (!response.ok) throw await this.#refusal(method, path, response);
        return {
          status: response.status,
          headers: response.headers,
          body: await this.#read(method, path, response, { ...options, signal }),
        };
      },
    );
  }

  #prepare(
    method: HttpMethod,
    { headers, json, body, idempotencyKey, as = 'json', response }: AnyRequestOptions,
  ): RequestInit {
    if (json !== undefined && body !== undefined)
      throw invalidArgument(origin, 'a request has json or body, not both');
    if (response !== undefined && as !== 'json')
      throw invalidArgument(origin, 'a response schema goes with JSON: leave `as` out');
    if ((json !== undefined || body !== undefined) && SAFE_METHODS.has(method))
      throw invalidArgument(origin, `a ${method} request has no body`);
    const merged = new Headers(this.#headers);
    if (as === 'json' && !merged.has('accept')) merged.set('accept', 'application/json');
    if (json !== undefined) merged.set('content-type', 'application/json');
    for (const [name, value] of checkHeaders(headers)) merged.set(name, value);
    if (idempotencyKey !== undefined)
      for (const [name, value] of toHeaders({ 'idempotency-key': idempotencyKey }))
        merged.set(name, value);
    return {
      method,
      headers: merged,
      redirect: 'manual',
      body: json === undefined ? (body ?? null) : toJson(json),
    };
  }

  // Once more with a new token after a 401: the request was refused, so it is safe to repeat whatever it does.
  async #sendAuthorized(
    url: URL,
    request: RequestInit,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const header = await this.#header(signal);
    const response = await this.#follow(url, withAuthorization(request, header), signal);
    if (response.status !== 401 || !this.#authorization.refuse(header)) return response;
    await response.body?.cancel();
    return await this.#follow(url, withAuthorization(request, await this.#header(signal)), signal);
  }

  // Without a token nothing is sent, whatever became of the provider's own request.
  async #header(signal: AbortSignal | undefined): Promise<Redacted | undefined> {
    try {
      return await this.#authorization.header(signal);
    } catch (error) {
      throw withOutcome(this.wrap(error, 'request', signal), 'not-applied');
    }
  }

  async #follow(
    url: URL,
    request: RequestInit,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    let current = url;
    for (let hop = 0; ; hop += 1) {
      const response = await this.#fetch(current, { ...request, ...(signal ? { signal } : {}) });
      const location = response.headers.get('location');
      if (
        response.status < 300 ||
        response.status >= 400 ||
        response.status === 304 ||
        location === null
      )
        return response;
      await response.body?.cancel();
      const target = URL.canParse(location, current.href) ? new URL(location, current) : undefined;
      if (!SAFE_METHODS.has(request.method as HttpMethod))
        throw redirectError(
          `a ${request.method} request was answered with a redirect (${response.status})`,
          target,
        );
      if (target === undefined || target.origin !== this.baseUrl.origin)
        throw redirectError(
          'the service redirects to another origin, which is not followed',
          target,
        );
      if (hop === MAX_REDIRECTS)
        throw redirectError(`the service redirected more than ${MAX_REDIRECTS} times`, target);
      current = target;
    }
  }

  async #read(
    method: HttpMethod,
    path: string,
    response: Response,
    { as = 'json', response: schema, signal }: AnyRequestOptions,
  ): Promise<unknown> {
    // What follows goes wrong after the service has done its work.
    const settled = SAFE_METHODS.has(method)
      ? {}
      : ({ outcome: 'applied', retryable: false } as const);
    try {
      const bytes = await readBounded(response, this.#maxBytes);
      if (as === 'bytes') return bytes;
      const text = new TextDecoder().decode(bytes);
      if (as === 'text') return text;
      const body = text === '' ? undefined : parseJson(text);
      if (schema === undefined) return body;
      return await parseWithSchema(schema, body, {
        ...origin,
        subject: `the answer of ${method} ${path}`,
        code: 'data-loss',
      });
    } catch (error) {
      const wrapped = this.wrap(error, 'request', signal);
      if (wrapped.code === 'cancelled' || wrapped.code === 'deadline-exceeded') throw error;
      const { code, message, retryable, details } = wrapped;
      throw new InfrastructureError({
        ...origin,
        code,
        message,
        retryable,
        details: { ...details, status: response.status },
        operation: 'request',
        cause: error,
        outcome: wrapped.outcome,
        ...settled,
      });
    }
  }

  async #refusal(
    method: HttpMethod,
    path: string,
    response: Response,
  ): Promise<InfrastructureError> {
    const { status, headers } = response;
    const answer = { status, headers, body: await readErrorBody(response) };
    const classification = {
      ...classifyHttpStatus(answer, this.#clock.now()),
      ...this.#classify(answer),
    };
    return new InfrastructureError({
      ...classification,
      ...origin,
      operation: 'request',
      details: { ...classification.details, status },
      message:
        classification.message ??
        `${method} ${path} at ${this.baseUrl.host} was answered with ${status}`,
    });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The platform's own message would quote the body.
    throw new InfrastructureError({
      ...origin,
      code: 'data-loss',
      message:
        'the answer is not JSON: read it with `as: "text"` or `as: "bytes"` if it is not meant to be',
      outcome: 'unknown',
    });
  }
}

async function readErrorBody(response: Response): Promise<unknown> {
  const bytes = await readBounded(response, MAX_ERROR_BYTES).catch(() => new Uint8Array());
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function redirectError(message: string, target: URL | undefined): InfrastructureError {
  const where = target ? ` (to ${target.origin})` : '';
  return new InfrastructureError({
    ...origin,
    code: 'failed-precondition',
    operation: 'request',
    outcome: 'unknown',
    message: `${message}${where}: give the service's final address as baseUrl`,
  });
}
