import { pino } from 'pino';

import {
  type Clock,
  type ComponentHealth,
  contextEnvelope,
  InfrastructureError,
  type Managed,
  systemClock,
} from '../core/index.ts';
import { LogOutput, type LogDestination, type LogFormat } from './output.ts';
import { createRedactor, isError, type Redactor, scrubText } from './redaction.ts';

/** The levels, from the least to the most severe; `silent` writes nothing. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number];

/** Facts of a log line. The values of keys named like a secret are replaced, at any depth. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** The least severe level that is written. Default `info`. */
  readonly level?: LogLevel;
  /**
   * `json` writes one JSON object a line; `pretty` writes for people, through the optional peer `pino-pretty`; `auto` (the
   * default) is `pretty` when standard output is a terminal and the peer is installed, `json` otherwise.
   */
  readonly format?: LogFormat;
  /** Stands in each line as `name`. */
  readonly name?: string;
  /** Stand in each line. */
  readonly fields?: LogFields;
  /**
   * Further words: the value of any key that contains one is replaced by `[redacted]`. Case, `-`, `_`, `.` and spaces do not
   * count.
   */
  readonly redact?: readonly string[];
  /** Where the lines go. Default: standard output, written at once, so that no line is lost when the process ends. */
  readonly destination?: LogDestination;
  /** Default: the machine's time. */
  readonly clock?: Clock;
}

/**
 * Writes structured log lines. Each has `level`, `time` (milliseconds since the Unix epoch), `pid`, `hostname`, what is known
 * of the work under way (`requestId`, `tenant`, `traceparent`), its fields, and `msg`. An error given as the first argument,
 * or as a field, is written with its facts, stack and causes; as the first argument its field is `err`.
 *
 * Secrets are replaced by key at any depth, and credentials in URLs by pattern; bytes are written as their number. A
 * destination that fails never disturbs the application: {@link Logger.checkHealth} tells.
 */
export class Logger implements Managed {
  readonly component = 'logging';
  readonly adapter = 'pino';
  readonly #pino: pino.Logger;
  readonly #output: LogOutput;
  readonly #redactor: Redactor;

  /** Use {@link createLogger}. */
  constructor(native: pino.Logger, output: LogOutput, redactor: Redactor) {
    this.#pino = native;
    this.#output = output;
    this.#redactor = redactor;
  }

  /** pino's own logger, for libraries that want one. What goes through it is redacted too. */
  get native(): pino.Logger {
    return this.#pino;
  }

  /** The least severe level that is written. Setting one that is not known throws `invalid-argument`. */
  get level(): LogLevel {
    return this.#pino.level as LogLevel;
  }

  set level(level: LogLevel) {
    this.#pino.level = requireLevel(level);
  }

  /** Whether a line of this level would be written; for lines that are costly to make. */
  isLevelEnabled(level: Exclude<LogLevel, 'silent'>): boolean {
    return this.#pino.isLevelEnabled(level);
  }

  trace(message: string): void;
  trace(fields: LogFields | Error, message?: string): void;
  trace(first: string | LogFields | Error, message?: string): void {
    this.#write('trace', first, message);
  }

  debug(message: string): void;
  debug(fields: LogFields | Error, message?: string): void;
  debug(first: string | LogFields | Error, message?: string): void {
    this.#write('debug', first, message);
  }

  info(message: string): void;
  info(fields: LogFields | Error, message?: string): void;
  info(first: string | LogFields | Error, message?: string): void {
    this.#write('info', first, message);
  }

  warn(message: string): void;
  warn(fields: LogFields | Error, message?: string): void;
  warn(first: string | LogFields | Error, message?: string): void {
    this.#write('warn', first, message);
  }

  error(message: string): void;
  error(fields: LogFields | Error, message?: string): void;
  error(first: string | LogFields | Error, message?: string): void {
    this.#write('error', first, message);
  }

  fatal(message: string): void;
  fatal(fields: LogFields | Error, message?: string): void;
  fatal(first: string | LogFields | Error, message?: string): void {
    this.#write('fatal', first, message);
  }

  /** A logger whose lines also have these fields. It shares level and destination with this one at this time. */
  child(fields: LogFields): Logger {
    const cleaned = asFields(this.#redactor(fields));
    return new Logger(this.#pino.child(cleaned), this.#output, this.#redactor);
  }

  /** Resolves when every line so far was handed on. Never rejects. */
  async flush(): Promise<void> {
    await this.#output.flush();
  }

  /** Nothing needs to be started. */
  async start(): Promise<void> {
    await Promise.resolve();
  }

  /** Flushes. */
  async drain(): Promise<void> {
    await this.flush();
  }

  /** `degraded` after the destination refused a line, until it takes one again. Never rejects. */
  async checkHealth(): Promise<ComponentHealth> {
    const { failure } = this.#output;
    return await Promise.resolve(
      failure === undefined
        ? { status: 'ok' }
        : { status: 'degraded', message: `log lines were lost: ${failure}` },
    );
  }

  /** Flushes. Lines may still be written later, so that whatever closes after it can be heard. Safe to call again. */
  async close(): Promise<void> {
    await this.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #write(
    level: Exclude<LogLevel, 'silent'>,
    first: string | LogFields | Error,
    message: string | undefined,
  ): void {
    if (typeof first === 'string') this.#pino[level](first);
    else if (isError(first)) this.#pino[level]({ err: first }, message ?? first.message);
    else this.#pino[level](first, message);
  }
}

/**
 * Makes a {@link Logger}. Throws `invalid-argument` for a level or format that is not known, and `failed-precondition` when
 * `format` is `pretty` and `pino-pretty` is not installed.
 *
 * @example
 * const log = createLogger({ level: 'debug' });
 * log.info({ orderId: 7 }, 'order placed');
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const {
    level = 'info',
    format = 'auto',
    name,
    fields = {},
    redact = [],
    destination,
    clock = systemClock,
  } = options;
  requireLevel(level);
  const redactor = createRedactor(redact);
  const output = new LogOutput(format, destination);
  const native = pino(
    {
      level,
      ...(name === undefined ? {} : { name }),
      timestamp: () => `,"time":${clock.now()}`,
      formatters: {
        level: (label) => ({ level: label }),
        log: (line) => {
          const cleaned = asFields(redactor(line));
          const context = contextEnvelope();
          return context === undefined ? cleaned : { ...context, ...cleaned };
        },
      },
      serializers: {
        // Errors were serialised by the redactor; pino's own way shows every property of theirs.
        err: (error: unknown) => error,
        msg: (message: unknown) => (typeof message === 'string' ? scrubText(message) : message),
      },
    },
    output,
  );
  return new Logger(
    Object.keys(fields).length === 0 ? native : native.child(asFields(redactor(fields))),
    output,
    redactor,
  );
}

// Of an object that cannot be read as a whole only that is known.
function asFields(cleaned: unknown): Record<string, unknown> {
  return typeof cleaned === 'object' && cleaned !== null
    ? (cleaned as Record<string, unknown>)
    : { fields: cleaned };
}

function requireLevel(level: LogLevel): LogLevel {
  if (logLevels.includes(level)) return level;
  throw new InfrastructureError({
    code: 'invalid-argument',
    component: 'logging',
    message: `${JSON.stringify(level)} is not a log level: give one of ${logLevels.join(', ')}`,
  });
}
