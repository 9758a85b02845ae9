import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Enough to get past a repository and a query builder; each costs 0.3 µs. */
const frames = 12;

/** The folder of this package, whose own frames say nothing to whoever looks for a mistake in the application. */
const home = path.join(import.meta.dirname, '..', path.sep);

const location = /(?:\(|at (?:async )?)((?:file:\/\/)?[^()]+):(\d+):\d+\)?$/;

/**
 * Where in the application's code something was asked for. Takes the stack at once, and makes words of it when somebody reads
 * them, which costs a hundred times as much.
 */
export class CallSite {
  readonly #trace: { readonly stack?: string } = {};

  constructor() {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = frames;
    Error.captureStackTrace(this.#trace, CallSite);
    Error.stackTraceLimit = stackTraceLimit;
  }

  /** `FILE:LINE`, of the innermost code that is neither a package's nor Node's; of this package's own when there is no other. */
  toString(): string {
    const places = (this.#trace.stack ?? '')
      .split('\n')
      .map((line) => location.exec(line))
      .filter((match) => match !== null)
      .map(([, file = '', line = '']) => ({
        file: file.startsWith('file:') ? fileURLToPath(file) : file,
        line,
      }))
      .filter(({ file }) => path.isAbsolute(file));
    const place =
      places.find(({ file }) => !file.startsWith(home) && !/[/\\]node_modules[/\\]/.test(file)) ??
      places.at(-1);
    return place === undefined ? 'unknown' : `${place.file}:${place.line}`;
  }
}
