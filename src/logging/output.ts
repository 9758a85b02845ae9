import { createRequire } from 'node:module';
import { Writable } from 'node:stream';

import { pino } from 'pino';
import type { prettyFactory } from 'pino-pretty';

import { InfrastructureError, missingPeer, wrapError } from '../core/index.ts';

/** How lines are written. */
export type LogFormat = 'auto' | 'json' | 'pretty';

/** What takes the lines, each with its line break: a stream of Node, or anything that has `write`. It stays its owner's to close. */
export interface LogDestination {
  write(line: string): unknown;
}

/** Lines that standard output could not take are kept up to this many bytes, and written once it can. */
const maxKept = 1024 * 1024;

/** Formats lines and hands them on. No failure of the destination comes out of it. */
export class LogOutput {
  readonly #destination: LogDestination;
  readonly #format: ((line: string) => string) | undefined;
  #failure: string | undefined;
  #isRefused = false;
  #hasWarned = false;

  constructor(format: LogFormat, destination: LogDestination | undefined) {
    this.#format = formatter(format, destination);
    this.#destination = destination ?? standardOutput();
    if (isEmitter(this.#destination)) {
      this.#destination.on('error', (error) => {
        this.#fail(error);
      });
    }
  }

  /** What the destination said when it last refused a line; `undefined` after it took one. */
  get failure(): string | undefined {
    return this.#failure;
  }

  write(line: string): void {
    this.#isRefused = false;
    try {
      this.#destination.write(this.#format === undefined ? line : this.#format(line));
    } catch (error) {
      this.#fail(error);
    }
    // A stream of Node that has failed takes lines and loses them.
    const isLost = this.#destination instanceof Writable && !this.#destination.writable;
    if (!this.#isRefused && !isLost) this.#failure = undefined;
  }

  async flush(): Promise<void> {
    const stream = this.#destination;
    if (!(stream instanceof Writable) || !stream.writable || stream.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      stream.once('close', resolve);
      stream.write('', () => {
        stream.off('close', resolve);
        resolve();
      });
    });
  }

  #fail(error: unknown): void {
    const { message } = wrapError(error, { component: 'logging' });
    this.#isRefused = true;
    this.#failure = message;
    if (this.#hasWarned) return;
    // Once, since standard error may go to the same full disk.
    this.#hasWarned = true;
    process.emitWarning(`log lines are lost: ${message}`);
  }
}

// Written at once: sonic-boom's way of emptying its buffer when the process ends goes on for ever on a full disk.
function standardOutput(): LogDestination {
  const stream = pino.destination({ fd: 1, sync: true, minLength: 1, maxLength: maxKept });
  // With its buffer full it would not even try again.
  stream.on('drop', () => {
    stream.flush();
  });
  return stream;
}

interface Emitter {
  on(event: 'error', listener: (error: unknown) => void): unknown;
}

function isEmitter(value: object): value is Emitter {
  return typeof (value as Partial<Emitter>).on === 'function';
}

function formatter(
  format: LogFormat,
  destination: LogDestination | undefined,
): ((line: string) => string) | undefined {
  switch (format) {
    case 'json':
      return undefined;
    case 'pretty':
      return prettify();
    case 'auto':
      return destination === undefined && process.stdout.isTTY ? tryPrettify() : undefined;
    default:
      throw new InfrastructureError({
        code: 'invalid-argument',
        component: 'logging',
        message: `${JSON.stringify(format)} is not a log format: give one of auto, json, pretty`,
      });
  }
}

// Without the peer a terminal gets the same lines, only less pretty.
function tryPrettify(): ((line: string) => string) | undefined {
  try {
    return prettify();
  } catch (error) {
    if (InfrastructureError.is(error, 'failed-precondition')) return undefined;
    throw error;
  }
}

function prettify(): (line: string) => string {
  let peer: { readonly prettyFactory: typeof prettyFactory };
  try {
    peer = createRequire(import.meta.url)('pino-pretty') as typeof peer;
  } catch (error) {
    throw missingPeer('underpin/logging with format "pretty"', 'pino-pretty', error) ?? error;
  }
  return peer.prettyFactory({
    colorize: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  });
}
