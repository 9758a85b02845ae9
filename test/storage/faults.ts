import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';

import { afterEach, describe, expect, it, vi } from 'vitest';

import type { ErrorCode, InfrastructureError } from '../../src/core/index.ts';
import type { FileStorage } from '../../src/storage/index.ts';
import { failureOf } from '../support/failure.ts';

/** A storage of a vendor whose server is a script. */
export interface FaultTarget<Files extends FileStorage> {
  /** The storage on the server at this port, without a policy. */
  readonly open: (port: number) => Files;
  /** What no error may show: a part of the credentials of `open`. */
  readonly secret: string;
  /** The path at which the server keeps the key `a`. */
  readonly path: string;
  /** Answers as the vendor refuses with this code. */
  readonly refusal: (
    status: number,
    code: string,
    headers?: Readonly<Record<string, string>>,
  ) => RequestListener;
  /** What the vendor answers when it is asked for a file that is not there. */
  readonly absent: readonly [status: number, code: string];
  /** What the vendor answers when it has too much to do. */
  readonly busy: readonly [status: number, code: string];
  /** How each refusal of a put is told. */
  readonly refusals: readonly (readonly [
    status: number,
    vendorCode: string,
    code: ErrorCode,
    outcome: InfrastructureError['outcome'],
    retryable: boolean,
  ])[];
}

/** A server that a test scripts. */
export interface ScriptedServer<Files extends FileStorage> {
  /** The storage on a server that answers as it is told, once it has answered the question of `start`. */
  readonly answering: (answer: RequestListener) => Promise<Files>;
  /** What the server of this test was asked, such as `PUT /b/a`, without queries. */
  readonly requests: () => readonly string[];
}

/** Gives each test of the suite around a server of its own. */
export function scriptedServer<Files extends FileStorage>({
  open,
  absent,
  refusal,
}: Pick<FaultTarget<Files>, 'open' | 'absent' | 'refusal'>): ScriptedServer<Files> {
  let server: Server | undefined;
  let requests: string[] = [];

  afterEach(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
  });

  return {
    requests: () => requests,
    async answering(answer) {
      requests = [];
      server = createServer((request, response) => {
        if (request.url?.includes('.underpin/probe') === true) {
          refusal(...absent)(request, response);
          return;
        }
        requests.push(`${request.method} ${request.url?.split('?')[0]}`);
        request.resume();
        answer(request, response);
      });
      return open(await listen(server));
    },
  };
}

/** Registers how every storage tells what its server answers, or does not. */
export function describeFaults<Files extends FileStorage>(target: FaultTarget<Files>): void {
  const { open, secret, path, refusal, busy, refusals } = target;

  describe('faults', () => {
    const { answering, requests } = scriptedServer(target);

    it.each(refusals)(
      '%d %s on a put is %s, %s',
      async (status, vendorCode, code, outcome, retryable) => {
        await using files = await answering(refusal(status, vendorCode));
        const error = await failureOf(files.put('a', 'x'));
        expect([error.code, error.outcome, error.retryable]).toEqual([code, outcome, retryable]);
        expect(inspect(error, { depth: 9 })).not.toContain(secret);
      },
    );

    it('Retry-After is kept', async () => {
      await using files = await answering(refusal(...busy, { 'retry-after': '7' }));
      expect((await failureOf(files.put('a', 'x'))).retryAfterMs).toBe(7000);
    });

    it('the SDK repeats nothing: the policy decides', async () => {
      await using files = await answering(refusal(500, 'InternalError'));
      await failureOf(files.put('a', 'x'));
      expect(requests()).toEqual([`PUT ${path}`]);
    });

    it('a refused connection is unavailable, and nothing was applied', async () => {
      const closed = createServer();
      const port = await listen(closed);
      await new Promise((resolve) => closed.close(resolve));
      await using files = open(port);
      const error = await failureOf(files.put('a', 'x'));
      expect([error.code, error.outcome]).toEqual(['unavailable', 'not-applied']);
    });

    it('a connection that is cut in the middle of an answer is an error, never a short file', async () => {
      await using files = await answering((_request, response) => {
        response.writeHead(200, { 'content-length': '200000', etag: '"x"' });
        response.write('x'.repeat(100_000), () => response.destroy());
      });
      const file = await files.get('a');
      expect((await failureOf(file.bytes())).code).toBe('unavailable');
    });

    it('a server that never answers ends with the deadline', async () => {
      await using files = await answering(() => undefined);
      await files.start();
      const controller = new AbortController();
      const waiting = failureOf(files.put('a', 'x', { signal: controller.signal }));
      await vi.waitFor(() => expect(requests()).toEqual([`PUT ${path}`]));
      controller.abort(new DOMException('late', 'TimeoutError'));
      const error = await waiting;
      expect([error.code, error.outcome]).toEqual(['deadline-exceeded', 'unknown']);
    });
  });
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
