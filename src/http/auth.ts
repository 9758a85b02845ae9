import {
  abortable,
  type Clock,
  invalidArgument,
  redact,
  type Redacted,
  type Secret,
} from '../core/index.ts';

/** A token with the time it ends, in milliseconds since the Unix epoch or as a date. */
export interface ExpiringToken {
  readonly token: Secret;
  readonly expiresAt: number | Date;
}

/** Gets a new bearer token. Its signal is aborted after 30 s, and when the client is closed. */
export type TokenProvider = (context: {
  readonly signal: AbortSignal;
}) => Promise<Secret | ExpiringToken>;

/** How requests prove who sends them. */
export type HttpAuth =
  /** A token that does not change. */
  | { readonly bearer: Secret }
  | { readonly basic: { readonly username: string; readonly password: Secret } }
  /** Tokens that end: fetched when first needed, shortly before they end, and once after an answer 401. */
  | { readonly token: TokenProvider };

/** How long before its end a token is fetched anew, or half its life if that is less: the request needs some of it. */
const EXPIRY_MARGIN_MS = 10_000;
/** A provider that takes longer has failed, so that those who come later ask again. */
const PROVIDER_TIMEOUT_MS = 30_000;

interface HeldToken {
  readonly header: Redacted;
  /** When a request no longer uses it, in milliseconds since the Unix epoch. */
  readonly renewAt: number;
}

/** Gives the Authorization header. However many ask, a token is fetched once at a time. */
export class Authorization {
  readonly #provider: TokenProvider | undefined;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #held: HeldToken | undefined;
  #fetching: Promise<HeldToken> | undefined;

  constructor(auth: HttpAuth | undefined, clock: Clock) {
    this.#clock = clock;
    if (auth === undefined) return;
    if ('token' in auth) this.#provider = auth.token;
    else this.#held = { header: fixedHeader(auth), renewAt: Number.POSITIVE_INFINITY };
  }

  /** The header's value; `undefined` without auth. */
  async header(signal: AbortSignal | undefined): Promise<Redacted | undefined> {
    if (this.#held !== undefined && this.#clock.now() < this.#held.renewAt)
      return this.#held.header;
    if (this.#provider === undefined) return this.#held?.header;
    if (this.#fetching === undefined) {
      this.#fetching = this.#fetch(this.#provider);
      // The fetch belongs to all who wait for it: a caller that goes away leaves it to the others, or to nobody.
      this.#fetching.catch(() => undefined);
    }
    return (await (signal ? abortable(this.#fetching, signal) : this.#fetching)).header;
  }

  /** Drops a header that was answered with 401. Tells whether there can be another. */
  refuse(header: Redacted | undefined): boolean {
    if (this.#provider === undefined) return false;
    // Somebody else may have a new one already.
    if (this.#held?.header === header) this.#held = undefined;
    return true;
  }

  close(): void {
    this.#closing.abort(new DOMException('the client was closed', 'AbortError'));
  }

  async #fetch(provider: TokenProvider): Promise<HeldToken> {
    try {
      const signal = AbortSignal.any([
        this.#closing.signal,
        AbortSignal.timeout(PROVIDER_TIMEOUT_MS),
      ]);
      const given = await abortable(provider({ signal }), signal);
      const { token, expiresAt } = isExpiring(given)
        ? given
        : { token: given, expiresAt: Number.POSITIVE_INFINITY };
      const now = this.#clock.now();
      const life = Number(expiresAt) - now;
      this.#held = {
        header: bearerHeader(token),
        renewAt: now + life - Math.min(EXPIRY_MARGIN_MS, life / 2),
      };
      return this.#held;
    } finally {
      this.#fetching = undefined;
    }
  }
}

function isExpiring(given: Secret | ExpiringToken): given is ExpiringToken {
  return typeof given === 'object' && 'token' in given;
}

function fixedHeader(auth: Exclude<HttpAuth, { readonly token: TokenProvider }>): Redacted {
  if ('bearer' in auth) return bearerHeader(auth.bearer);
  const { username, password } = auth.basic;
  if (username.includes(':'))
    throw invalidArgument({ component: 'http' }, 'a user name of basic auth holds no ":"');
  return redact(
    `Basic ${Buffer.from(`${username}:${redact(password).reveal()}`).toString('base64')}`,
  );
}

function bearerHeader(token: Secret): Redacted {
  const value = redact(token).reveal();
  // RFC 6750's alphabet is narrower, but tokens in the wild are any visible ASCII.
  if (!/^[\u0021-\u007e]+$/.test(value)) {
    throw invalidArgument(
      { component: 'http' },
      'the token is empty, or holds a space, a line break or something beyond ASCII',
    );
  }
  return redact(`Bearer ${value}`);
}
