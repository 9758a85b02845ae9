import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the server got it. */
export interface DirectusRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Answers a request that has passed authentication. `count` is how often this path was asked for, from 1. */
export type DirectusAnswer = (
  request: DirectusRequest,
  response: ServerResponse,
  count: number,
) => void;

/**
 * Stands for a Directus 12 server that answers as a test tells it to, in ways that a real one cannot be made to: what proxies and
 * crashes make of its answers, and what it answers at which attempt. The real one has its own tests, `*.e2e.test.ts`.
 */
export class DirectusServer implements AsyncDisposable {
  readonly url: string;
  readonly requests: DirectusRequest[] = [];
  /** How long access tokens live, in milliseconds, as the server tells it. */
  tokenLife = 900_000;
  readonly #server: ReturnType<typeof createServer>;
  readonly #answers = new Map<string, DirectusAnswer>();
  readonly #counts = new Map<string, number>();
  readonly #access = new Set<string>(['static-token']);
  readonly #refresh = new Set<string>();
  #issued = 0;

  private constructor(server: ReturnType<typeof createServer>, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(): Promise<DirectusServer> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const started = new DirectusServer(
      server,
      `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    );
    server.on('request', (incoming, response: ServerResponse) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const { pathname, searchParams } = new URL(incoming.url ?? '/', started.url);
        const { method = '', headers } = incoming;
        started.#respond(
          {
            method,
            path: pathname,
            query: searchParams,
            headers,
            body: Buffer.concat(chunks).toString(),
          },
          response,
        );
      });
    });
    return started;
  }

  /** Tells what a path answers. */
  answer(path: string, answer: DirectusAnswer): void {
    this.#answers.set(path, answer);
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.requests.filter((request) => request.path === path).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }

  #respond(request: DirectusRequest, response: ServerResponse): void {
    // What a client asks when it starts with a static token is no request of a test's.
    if (request.path.endsWith('/users/me') && request.query.get('fields') === 'id') {
      if (request.headers.authorization === 'Bearer static-token') sendData(response, { id: '1' });
      else sendError(response, 401, 'INVALID_CREDENTIALS');
      return;
    }
    this.requests.push(request);
    const count = (this.#counts.get(request.path) ?? 0) + 1;
    this.#counts.set(request.path, count);
    const answer = this.#answers.get(request.path);
    if (request.path === '/server/ping' || request.path.startsWith('/auth/')) {
      if (answer) answer(request, response, count);
      else this.#builtIn(request, response);
      return;
    }
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    if (!this.#access.has(token)) sendError(response, 401, 'TOKEN_EXPIRED');
    else if (answer) answer(request, response, count);
    else sendError(response, 404, 'ROUTE_NOT_FOUND');
  }

  #builtIn({ path, body }: DirectusRequest, response: ServerResponse): void {
    if (path === '/server/ping') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('pong');
      return;
    }
    const sent = JSON.parse(body) as Readonly<Record<string, string>>;
    const isLogin =
      path === '/auth/login' &&
      sent['email'] === 'ann@example.com' &&
      sent['password'] === 'pass word';
    const isKnown = this.#refresh.delete(sent['refresh_token'] ?? '');
    if (path === '/auth/logout') response.writeHead(204).end();
    else if (isLogin || (path === '/auth/refresh' && isKnown)) this.#issue(response);
    else sendError(response, 401, 'INVALID_CREDENTIALS');
  }

  #issue(response: ServerResponse): void {
    this.#issued += 1;
    const tokens = {
      access_token: `access-${this.#issued}`,
      refresh_token: `refresh-${this.#issued}`,
      expires: this.tokenLife,
    };
    this.#access.add(tokens.access_token);
    this.#refresh.add(tokens.refresh_token);
    sendData(response, tokens);
  }
}

/** Answers as Directus does: `{ data }`. */
export function sendData(response: ServerResponse, data: unknown): void {
  response
    .writeHead(200, { 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify({ data }));
}

/** Refuses as Directus does: `{ errors: [{ message, extensions: { code } }] }`. */
export function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  {
    headers = {},
    extensions = {},
  }: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly extensions?: Readonly<Record<string, unknown>>;
  } = {},
): void {
  const body = {
    errors: [
      { message: `a message with the value "private-value"`, extensions: { code, ...extensions } },
    ],
  };
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers })
    .end(JSON.stringify(body));
}
