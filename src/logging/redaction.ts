import { types } from 'node:util';

import { InfrastructureError, Redacted, scrubCredentials } from '../core/index.ts';

/** Makes of whatever was given to a logger what may be written: a value without secrets, cycles, bodies or surprises. */
export type Redactor = (value: unknown) => unknown;

const hidden = '[redacted]';

/** Compared with keys in lower case and without `-`, `_`, `.` and spaces; a key that contains one of them is a secret's. */
const secretWords: readonly string[] = [
  'password',
  'passwd',
  'passphrase',
  'pwd',
  'secret',
  'token',
  'apikey',
  'accesskey',
  'privatekey',
  'signingkey',
  'encryptionkey',
  'credential',
  'authorization',
  'cookie',
  'sessionid',
  'jwt',
  'creditcard',
  'cardnumber',
];
/** Words too short to be looked for within others. */
const secretKeys: ReadonlySet<string> = new Set([
  'auth',
  'pass',
  'pin',
  'otp',
  'cvc',
  'cvv',
  'signature',
]);

/** Deeper values help nobody, and a log line must end. */
const maxDepth = 10;
/** Objects in one line, since a graph without rings can still unfold to millions. */
const maxObjects = 1000;
/** Distinct keys whose verdict is remembered; beyond that, keys are data. */
const maxRememberedKeys = 10_000;

type Verdict = 'secret' | 'secret unless a number' | 'plain';

/** Makes a redactor that also hides the values of keys which contain one of `words`. */
export function createRedactor(words: readonly string[] = []): Redactor {
  const searched = [...secretWords, ...words.map(normalise).filter((word) => word !== '')];
  const verdicts = new Map<string, Verdict>();

  const judge = (key: string): Verdict => {
    const known = verdicts.get(key);
    if (known !== undefined) return known;
    const normal = normalise(key);
    const isSecret = secretKeys.has(normal) || searched.some((word) => normal.includes(word));
    // `promptTokens: 512` counts tokens and holds none.
    const verdict = !isSecret
      ? 'plain'
      : normal.endsWith('tokens')
        ? 'secret unless a number'
        : 'secret';
    if (verdicts.size >= maxRememberedKeys) verdicts.clear();
    verdicts.set(key, verdict);
    return verdict;
  };

  return (value) => new Walk(judge).clean(value, 0);
}

function normalise(key: string): string {
  return key.replace(/[-_.\s]/g, '').toLowerCase();
}

/** What a text may show: no credentials in URLs. Texts without a URL pass untouched, which keeps them cheap. */
export function scrubText(text: string): string {
  return text.includes('://') ? scrubCredentials(text) : text;
}

/** Whether a value is an error, also one of another realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** One pass over one value. Copies only what it changes. */
class Walk {
  readonly #judge: (key: string) => Verdict;
  readonly #path: object[] = [];
  #objects = 0;

  constructor(judge: (key: string) => Verdict) {
    this.#judge = judge;
  }

  clean(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return scrubText(value);
    if (typeof value === 'bigint') return value.toString();
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Redacted) return hidden;
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
      return `[${value.byteLength} bytes]`;
    if (this.#path.includes(value)) return '[circular]';
    this.#objects += 1;
    if (depth >= maxDepth || this.#objects > maxObjects) return '[truncated]';
    this.#path.push(value);
    try {
      return this.#cleanObject(value, depth);
    } catch {
      // A getter, a proxy or a toJSON of the caller's failed.
      return '[unreadable]';
    } finally {
      this.#path.pop();
    }
  }

  #cleanObject(value: object, depth: number): unknown {
    if (isError(value)) return this.#cleanError(value, depth);
    if (Array.isArray(value)) return this.#cleanArray(value as unknown[], depth);
    if (value instanceof Map)
      return this.#cleanProperties(Object.fromEntries<unknown>(value), depth);
    if (value instanceof Set) return this.#cleanArray([...value], depth);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function')
      return this.clean((toJSON as () => unknown).call(value), depth + 1);
    return this.#cleanProperties(value, depth);
  }

  #cleanArray(values: readonly unknown[], depth: number): readonly unknown[] {
    let copy: unknown[] | undefined;
    // Not by entries(): this runs for each line.
    for (let index = 0; index < values.length; index += 1) {
      const value = values[index];
      const cleaned = this.clean(value, depth + 1);
      if (cleaned !== value) (copy ??= [...values])[index] = cleaned;
    }
    return copy ?? values;
  }

  #cleanProperties(object: object, depth: number): object {
    let copy: Record<string, unknown> | undefined;
    for (const key in object) {
      if (!Object.hasOwn(object, key)) continue;
      const value = (object as Record<string, unknown>)[key];
      if (value === undefined || value === null || typeof value === 'boolean') continue;
      const cleaned = this.#isSecret(key, value) ? hidden : this.clean(value, depth + 1);
      if (cleaned !== value) (copy ??= { ...object })[key] = cleaned;
    }
    return copy ?? object;
  }

  #isSecret(key: string, value: unknown): boolean {
    const verdict = this.#judge(key);
    return (
      verdict === 'secret' || (verdict === 'secret unless a number' && typeof value !== 'number')
    );
  }

  // Of an engine's error only what is simple: its objects may be whole requests, with their bodies.
  #cleanError(error: Error, depth: number): object {
    const facts: Record<string, unknown> = InfrastructureError.is(error)
      ? error.toJSON()
      : simpleFacts(error);
    const { cause, errors } = error as { cause?: unknown; errors?: unknown };
    const known = this.#cleanProperties({ ...facts, cause: undefined, errors: undefined }, depth);
    return {
      ...known,
      name: error.name,
      message: scrubCredentials(error.message),
      stack: typeof error.stack === 'string' ? scrubCredentials(error.stack) : undefined,
      ...(cause === undefined ? {} : { cause: this.#cleanCause(cause, depth) }),
      ...(Array.isArray(errors)
        ? { errors: errors.map((each: unknown) => this.#cleanCause(each, depth)) }
        : {}),
    };
  }

  #cleanCause(cause: unknown, depth: number): unknown {
    if (typeof cause === 'string') return scrubCredentials(cause);
    return this.clean(cause, depth + 1);
  }
}

function simpleFacts(error: Error): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(error).filter(([, fact]) =>
      ['string', 'number', 'boolean', 'bigint'].includes(typeof fact),
    ),
  );
}
