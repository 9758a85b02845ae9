import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** What goes from the client to the server, or what comes back. */
export type Direction = 'request' | 'answer';

/** A way to a server that a test can damage. Each damage holds until `heal`, also for connections that are made meanwhile. */
export interface Proxy extends AsyncDisposable {
  /** The server's URL with the proxy's host and port in place of its own. */
  readonly url: string;
  /** How many connections are open. */
  readonly connections: number;
  /** Resets every open connection. New ones are served. */
  cut(): void;
  /** Resets every open connection, and refuses new ones. */
  refuse(): Promise<void>;
  /** Passes so many more bytes in one direction, counted over all connections, and then resets the connection that sent the next one. */
  cutAfter(bytes: number, direction: Direction): void;
  /** Takes connections and bytes, and passes nothing on: in both directions, or in one. What was held back is passed on by `heal`. */
  stall(direction?: Direction): void;
  /** Passes every chunk on so many milliseconds later. */
  delay(ms: number): void;
  /** Passes so many bytes a second at most, in each direction of each connection. */
  throttle(bytesPerSecond: number): void;
  /** Ends every damage. */
  heal(): Promise<void>;
}

/** Starts a proxy on 127.0.0.1 in front of the server with this URL. */
export async function startProxy(url: string): Promise<Proxy> {
  const target = new URL(url);
  const proxy = new DamagingProxy(target.hostname, Number(target.port));
  const port = await proxy.listen(0);
  target.hostname = '127.0.0.1';
  target.port = String(port);
  // A path of nothing stays nothing: `redis://host:1/` is another URL to some.
  const own =
    target.href.endsWith('/') && !url.endsWith('/') ? target.href.slice(0, -1) : target.href;
  return Object.assign(proxy, { url: own });
}

interface Damage {
  stalled: ReadonlySet<Direction>;
  delayMs: number;
  bytesPerSecond: number;
  budget: { direction: Direction; bytes: number } | undefined;
}

const CHUNK_BYTES = 16 * 1024;
const intact: Damage = {
  stalled: new Set(),
  delayMs: 0,
  bytesPerSecond: Infinity,
  budget: undefined,
};

class DamagingProxy implements AsyncDisposable {
  readonly #host: string;
  readonly #targetPort: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #damage: Damage = intact;
  /** Resolves with the next change of the damage, for what is held back. */
  #changed = Promise.withResolvers<void>();

  constructor(host: string, targetPort: number) {
    this.#host = host;
    this.#targetPort = targetPort;
  }

  get connections(): number {
    // Each has one on either side.
    return this.#sockets.size / 2;
  }

  async listen(port: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port is free');
    this.#port = address.port;
    return address.port;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.cut();
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    await closed;
  }

  cutAfter(bytes: number, direction: Direction): void {
    this.#change({ budget: { direction, bytes } });
  }

  stall(direction?: Direction): void {
    this.#change({ stalled: new Set(direction ? [direction] : ['request', 'answer']) });
  }

  delay(ms: number): void {
    this.#change({ delayMs: ms });
  }

  throttle(bytesPerSecond: number): void {
    this.#change({ bytesPerSecond });
  }

  async heal(): Promise<void> {
    this.#change(intact);
    if (this.#server === undefined) await this.listen(this.#port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
    this.#change(intact);
  }

  #change(damage: Partial<Damage>): void {
    this.#damage = { ...this.#damage, ...damage };
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #accept(client: Socket): void {
    const server = connect({ host: this.#host, port: this.#targetPort, allowHalfOpen: true });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay();
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => this.#sockets.delete(socket));
    }
    void this.#pass(client, server, 'request');
    void this.#pass(server, client, 'answer');
  }

  async #pass(from: Socket, to: Socket, direction: Direction): Promise<void> {
    try {
      for await (const data of from.iterator({ destroyOnReturn: false })) {
        // The stream has no encoding.
        const bytes = data as Buffer;
        for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
          const chunk = bytes.subarray(start, start + CHUNK_BYTES);
          if (!(await this.#passChunk(chunk, to, direction))) {
            from.resetAndDestroy();
            to.resetAndDestroy();
            return;
          }
        }
      }
      to.end();
    } catch {
      to.resetAndDestroy();
    }
  }

  /** Whether the connection goes on. */
  async #passChunk(chunk: Buffer, to: Socket, direction: Direction): Promise<boolean> {
    while (this.#damage.stalled.has(direction) && !to.destroyed) await this.#changed.promise;
    const { delayMs, bytesPerSecond, budget } = this.#damage;
    const pauseMs = delayMs + (chunk.length / bytesPerSecond) * 1000;
    if (pauseMs > 0) await sleep(pauseMs);
    if (budget?.direction === direction) {
      const passed = chunk.subarray(0, budget.bytes);
      budget.bytes -= passed.length;
      if (passed.length < chunk.length) {
        await new Promise((resolve) => to.write(passed, resolve));
        return false;
      }
    }
    if (to.destroyed) return false;
    // Waits for what the other side takes, so that a slow reader slows the sender.
    await new Promise((resolve) => to.write(chunk, resolve));
    return !to.destroyed;
  }
}
