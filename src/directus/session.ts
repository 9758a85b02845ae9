import {
  abortable,
  type Clock,
  InfrastructureError,
  redact,
  type Redacted,
  type Secret,
} from '../core/index.ts';

/** How the client proves who it is: a static token, or the login of a user. */
export type DirectusCredentials =
  | { readonly token: Secret; readonly email?: never; readonly password?: never }
  | {
      readonly token?: never;
      readonly email: string;
      readonly password: Secret;
      /** Gives the one-time password at each login of a user who has a second factor. */
      readonly otp?: () => string | Promise<string>;
    };

/** Sends a POST to an auth endpoint, and gives the `data` of its answer. */
export type AuthRequest = (
  path: string,
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<unknown>;

/** How long before its end an access token is renewed, or half its life if that is less: the request needs some of it. */
const EXPIRY_MARGIN_MS = 10_000;
/** A login that takes longer has failed, so that those who come later try again. */
const AUTH_TIMEOUT_MS = 15_000;

interface Tokens {
  readonly access: Redacted;
  readonly refresh: Redacted | undefined;
  /** When a request no longer uses it, in milliseconds since the Unix epoch. */
  readonly renewAt: number;
}

/**
 * Holds the access token. It is renewed when a request needs it, by one renewal at a time, however many wait: Directus ends the session when
 * a refresh token is used twice. There is no timer, so an idle process can end.
 */
export class DirectusSession {
  readonly #credentials: DirectusCredentials;
  readonly #send: AuthRequest;
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #tokens: Tokens | undefined;
  #renewing: Promise<Tokens> | undefined;

  constructor(
    credentials: DirectusCredentials,
    { send, clock }: { readonly send: AuthRequest; readonly clock: Clock },
  ) {
    this.#credentials = credentials;
    this.#send = send;
    this.#clock = clock;
    if (credentials.token !== undefined) {
      this.#tokens = {
        access: redact(credentials.token),
        refresh: undefined,
        renewAt: Number.POSITIVE_INFINITY,
      };
    }
  }

  /** Whether the token was given, and can be no other. */
  get isStatic(): boolean {
    return this.#credentials.token !== undefined;
  }

  /** An access token that is good for now. */
  async token(signal?: AbortSignal): Promise<Redacted> {
    if (this.#tokens !== undefined && this.#clock.now() < this.#tokens.renewAt)
      return this.#tokens.access;
    if (this.#renewing === undefined) {
      this.#renewing = this.#renew();
      // The renewal belongs to all who wait for it: a caller that goes away leaves it to the others, or to nobody.
      this.#renewing.catch(() => undefined);
    }
    return (await (signal ? abortable(this.#renewing, signal) : this.#renewing)).access;
  }

  /** Drops an access token that the server refused. Tells whether there can be another. */
  refuse(access: Redacted): boolean {
    if (this.isStatic) return false;
    // Somebody else may have renewed it already.
    if (this.#tokens?.access === access) this.#tokens = { ...this.#tokens, renewAt: 0 };
    return true;
  }

  /** Ends the session on the server, as far as it can be reached. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closing.abort(new DOMException('the client was closed', 'AbortError'));
    const refresh = this.#tokens?.refresh;
    this.#tokens = undefined;
    if (refresh === undefined) return;
    // It ends by itself later where it cannot be ended now.
    await this.#send(
      '/auth/logout',
      { mode: 'json', refresh_token: refresh.reveal() },
      signal,
    ).catch(() => undefined);
  }

  async #renew(): Promise<Tokens> {
    try {
      const refresh = this.#tokens?.refresh;
      // Whatever comes of it, this refresh token is used up.
      if (this.#tokens) this.#tokens = { ...this.#tokens, refresh: undefined, renewAt: 0 };
      const tokens = (refresh && (await this.#refresh(refresh))) ?? (await this.#login());
      this.#tokens = tokens;
      return tokens;
    } finally {
      this.#renewing = undefined;
    }
  }

  async #refresh(refresh: Redacted): Promise<Tokens | undefined> {
    try {
      return this.#read(
        await this.#send(
          '/auth/refresh',
          { mode: 'json', refresh_token: refresh.reveal() },
          this.#signal(),
        ),
      );
    } catch (error) {
      // The session ended while nobody used it: log in again.
      if (
        InfrastructureError.is(error) &&
        (error.code === 'unauthenticated' ||
          error.code === 'permission-denied' ||
          error.code === 'invalid-argument')
      )
        return undefined;
      throw error;
    }
  }

  async #login(): Promise<Tokens> {
    if (this.#credentials.token !== undefined) throw new Error('a static token is not renewed');
    const { email, password, otp } = this.#credentials;
    const signal = this.#signal();
    const body = {
      mode: 'json',
      email,
      password: redact(password).reveal(),
      ...(otp ? { otp: await abortable(Promise.resolve(otp()), signal) } : {}),
    };
    return this.#read(await this.#send('/auth/login', body, signal));
  }

  #signal(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, AbortSignal.timeout(AUTH_TIMEOUT_MS)]);
  }

  #read(data: unknown): Tokens {
    const {
      access_token: access,
      refresh_token: refresh,
      expires,
    } = (data ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof access !== 'string' || access === '') {
      throw new InfrastructureError({
        code: 'data-loss',
        component: 'directus',
        operation: 'login',
        message: 'Directus answered a login without an access token',
      });
    }
    return {
      access: redact(access),
      refresh: typeof refresh === 'string' ? redact(refresh) : undefined,
      // In milliseconds from now.
      renewAt:
        typeof expires === 'number'
          ? this.#clock.now() + expires - Math.min(EXPIRY_MARGIN_MS, expires / 2)
          : Number.POSITIVE_INFINITY,
    };
  }
}
