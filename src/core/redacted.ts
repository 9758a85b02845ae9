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

// A host, perhaps with a port, and no user: what stands between `://` and the first `/`, `?` or `#`.
const plainAuthority = /^(?:\[[\da-f:.]*\]|[^:@]*)(?::\d{0,5})?$/i;
const authorityEnd = /[/?#]/g;
const secretNames =
  '(?:token|secret|passw(?:or)?d|passphrase|signature|credential|api[_-]?key|access[_-]?key|private[_-]?key)';
const secretParameter = new RegExp(
  String.raw`(${secretNames}s?=)(?:'[^']*'|"[^"]*"|[^\s&"'<>]+)`,
  'gi',
);
const secretProperty = new RegExp(String.raw`(${secretNames}"\s?:\s?)"(?:[^"\\]|\\.)*"?`, 'gi');
const authorization =
  /(\bauthorization["']?\s?[:=]\s?["']?(?:(?:basic|bearer|digest|token)\s)?|\bbearer\s)[\w.~+/-]{8,}=*/gi;

/**
 * Removes user names and passwords from URLs in a text, the values of parameters and JSON properties named like a secret,
 * and authorization headers. Linear on any input. Where a broken URL leaves in doubt where its password ends, too much is
 * removed; only `host:digits/` always reads as a host and its port.
 */
export function scrubCredentials(text: string): string {
  if (!/[:=]|bearer/i.test(text)) return text;
  const urls = text.includes('://') && text.includes('@') ? text.replace(/\S+/g, scrubWord) : text;
  return urls
    .replace(secretParameter, `$1${hidden}`)
    .replace(secretProperty, `$1"${hidden}"`)
    .replace(authorization, `$1${hidden}`);
}

function scrubWord(word: string): string {
  const lastAt = word.lastIndexOf('@');
  let result = '';
  let from = 0;
  for (
    let mark = word.indexOf('://');
    mark !== -1 && mark < lastAt;
    mark = word.indexOf('://', from)
  ) {
    const start = mark + 3;
    authorityEnd.lastIndex = start;
    const end = authorityEnd.exec(word)?.index ?? word.length;
    const authority = word.slice(start, end);
    result += word.slice(from, start);
    from = start;
    if (plainAuthority.test(authority)) continue;
    // A password may hold `@`, and unescaped also `/`, `?` and `#`: it ends at the last `@` of all.
    from = authority.includes(':') ? lastAt : start + authority.lastIndexOf('@');
    result += hidden;
  }
  return result + word.slice(from);
}
