import { inspect } from 'node:util';

const hidden = '[redacted]';

/**
 * A secret that prints, logs and serialises as `[redacted]`. {@link Redacted.reveal} is the only way to its value.
 *
 * @example
 * const password = new Redacted(process.env.SMTP_PASSWORD);
 * `${password}`; // '[redacted]'
 */
export class Redacted<Value = string> {
  readonly #value: Value;

  constructor(value: Value) {
    this.#value = value;
  }

  /** The secret itself. Call it where the secret is handed to an engine, and nowhere else. */
  reveal(): Value {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }
}

// Not a method: isolated declarations cannot name a computed key.
Object.defineProperty(Redacted.prototype, inspect.custom, { value: () => hidden });

/** A secret as options take it: wrapped, or as the plain string that a caller has at hand. */
export type Secret = string | Redacted;

/** Wraps a plain secret; leaves a wrapped one as it is. */
export function redact(secret: Secret): Redacted {
  return typeof secret === 'string' ? new Redacted(secret) : secret;
}

// Bounded classes and no nested repetition: linear on any input.
const userInfo = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#@]{1,2048}@/gi;
const secretParameter =
  /([?&;\s](?:[a-z_-]{0,40}(?:token|secret|password|passwd|signature|api[_-]?key|access[_-]?key))=)[^\s&#;]{1,4096}/gi;

/** Removes user names and passwords from URLs in a text, and the values of parameters named like a secret. */
export function scrubCredentials(text: string): string {
  if (!text.includes('://') && !text.includes('=')) return text;
  return text.replace(userInfo, `$1${hidden}@`).replace(secretParameter, `$1${hidden}`);
}
