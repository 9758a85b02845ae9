import type { Server } from 'node:http';

import { createAdaptorServer } from '@hono/node-server';
import { type ComponentHealth, InfrastructureError, type Managed } from 'underpin/core';

/** Where a {@link WebServer} listens. */
export interface WebServerOptions {
  readonly fetch: (request: Request) => Response | Promise<Response>;
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
}

type StopOptions = { readonly signal?: AbortSignal | undefined };

/** Serves a fetch handler over HTTP, as a part of the infrastructure that is started, drained and closed with the others. */
export class WebServer implements Managed {
  readonly component = 'web';
  readonly adapter = 'http';
  readonly #options: WebServerOptions;
  readonly #server: Server;

  constructor(options: WebServerOptions) {
    this.#options = options;
    // Without options for TLS or HTTP/2 it is a plain HTTP server.
    this.#server = createAdaptorServer({ fetch: options.fetch }) as Server;
  }

  /** The address, without a slash at its end. Throws while nobody listens. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string')
      throw new Error('the server does not listen');
    return `http://${urlHost(this.#options.host)}:${address.port}`;
  }

  async start(): Promise<void> {
    const { host, port } = this.#options;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(port, host, resolve);
      });
    } catch (error) {
      throw this.#startError(error as NodeJS.ErrnoException);
    }
  }

  /** Takes no new connections, and waits for the requests under way. */
  async drain({ signal }: StopOptions = {}): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // A connection that answers its last request now would be kept for the browser's next one, for 5 s.
    const closingIdle = setInterval(() => this.#server.closeIdleConnections(), 20);
    const cutOff = (): void => this.#server.closeAllConnections();
    signal?.addEventListener('abort', cutOff, { once: true });
    if (signal?.aborted) cutOff();
    await closed;
    clearInterval(closingIdle);
    signal?.removeEventListener('abort', cutOff);
  }

  async checkHealth(): Promise<ComponentHealth> {
    return this.#server.listening
      ? { status: 'ok' }
      : { status: 'down', message: 'the server does not listen' };
  }

  async close(): Promise<void> {
    const drained = this.drain();
    this.#server.closeAllConnections();
    await drained;
  }

  #startError(error: NodeJS.ErrnoException): InfrastructureError {
    const { host, port } = this.#options;
    return new InfrastructureError({
      code: 'failed-precondition',
      component: this.component,
      adapter: this.adapter,
      operation: 'start',
      message: startProblem(error, host, port),
      cause: error,
    });
  }
}

function startProblem(
  { code, message }: NodeJS.ErrnoException,
  host: string,
  port: number,
): string {
  switch (code) {
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use: end the program that has it, or set PORT to another one`;
    case 'EACCES':
      return `port ${port} is not open to this user: set PORT to one above 1023`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST is ${JSON.stringify(host)}, which is no address of this machine: set it to 127.0.0.1 for this machine only, or to 0.0.0.0 for all`;
    default:
      return `cannot listen on port ${port} of ${host}: ${message}`;
  }
}

// What one can open in a browser: a wildcard address is no destination.
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
