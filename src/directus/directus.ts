import type { DirectusClient as SdkClient, RestClient, RestCommand } from '@directus/sdk';

import {
  type CallOptions,
  type Capabilities,
  type Clock,
  Component,
  type ComponentOptions,
  definePolicy,
  type Driver,
  importPeer,
  InfrastructureError,
  invalidArgument,
  type OperationAttributes,
  type Policy,
  redact,
  type Redacted,
  scrubCredentials,
  systemClock,
  withOutcome,
} from '../core/index.ts';
import { classifySdkError, describeRequest } from './errors.ts';
import { type AuthRequest, type DirectusCredentials, DirectusSession } from './session.ts';
import { type DirectusFetch, throwingFetch } from './transport.ts';

const { createDirectus, rest } = await importPeer(
  'underpin/directus',
  '@directus/sdk',
  async () => await import('@directus/sdk'),
);

/** The default policy of a {@link DirectusClient}: 20 requests at once, two retries of reads, 15 s an attempt, 45 s in all. */
export const defaultDirectusPolicy: Policy = definePolicy('directus', {
  limit: { concurrency: 20, queue: 1000 },
  timeout: '45s',
  retry: { attempts: 2 },
  attemptTimeout: '15s',
});

/** Options of {@link directusClient}: where Directus is, and a static token or the login of a user. */
export type DirectusClientOptions = ComponentOptions &
  DirectusCredentials & {
    /** Directus' address, such as `https://cms.example.com`. Without credentials in it. */
    readonly url: string | URL;
    /** Default {@link defaultDirectusPolicy}. */
    readonly policy?: Policy;
    readonly clock?: Clock;
    /** Default the platform's. */
    readonly fetch?: typeof fetch;
  };

/** The SDK's own client. Its failures are thrown as `InfrastructureError` too; it has neither retries nor limits nor events. */
export type NativeDirectus<Schema> = SdkClient<Schema> & RestClient<Schema>;

interface DirectusDriver<Schema> extends Driver {
  readonly adapter: 'rest';
  readonly capabilities: Capabilities;
  readonly native: NativeDirectus<Schema>;
}

/** How long an answer to the logout at close is waited for. */
const LOGOUT_TIMEOUT_MS = 2000;

/**
 * A client of a Directus server, on its SDK. {@link DirectusClient.start} logs in, or asks whose the static token is.
 *
 * @example
 * const directus = directusClient<Schema>({ url: env.string('DIRECTUS_URL'), token: env.secret('DIRECTUS_TOKEN') });
 * const articles = await directus.request(readItems('articles', { limit: 10 }));
 */
export function directusClient<Schema>(options: DirectusClientOptions): DirectusClient<Schema> {
  return new DirectusClient<Schema>(options);
}

/**
 * Sends the SDK's commands. A failure is always thrown: `permission-denied` (also for what does not exist, since Directus does not tell
 * which), `unauthenticated`, `already-exists` (not unique), `failed-precondition` (a foreign key), `invalid-argument`,
 * `resource-exhausted` with `retryAfterMs`, `unavailable`. `details` hold `status`, `directusCode`, `collection`, `field`.
 */
export class DirectusClient<Schema> extends Component<DirectusDriver<Schema>> {
  readonly url: URL;
  readonly #session: DirectusSession;

  constructor(options: DirectusClientOptions) {
    const url = parseUrl(options.url);
    const clock = options.clock ?? systemClock;
    const send = throwingFetch(url, { send: options.fetch ?? globalThis.fetch, clock });
    const session = new DirectusSession(checkCredentials(options), {
      clock,
      send: authRequest(url, send),
    });
    super('directus', makeDriver<Schema>(url, send, session), {
      policy: options.policy ?? defaultDirectusPolicy,
    });
    this.url = url;
    this.#session = session;
  }

  /** Sends a command of the SDK, and gives what the SDK gives. Reads (GET, SEARCH) are retried. */
  async request<Output>(
    command: RestCommand<Output, Schema>,
    { signal: given }: CallOptions = {},
  ): Promise<Output> {
    const options = describeCommand(command);
    const method = options.method ?? 'GET';
    const attributes: OperationAttributes = { request: describeRequest(method, options.path) };
    const repeatable = method === 'GET' || method === 'SEARCH';
    return await this.run(
      'request',
      attributes,
      // A file is given as a stream.
      { signal: given, repeatable, outlived: true },
      async (signal) => await this.#send(command, signal),
    );
  }

  // Once more with a new token when the server refuses the one at hand: the command was refused, so it is safe to repeat.
  async #send<Output>(
    command: RestCommand<Output, Schema>,
    signal: AbortSignal | undefined,
  ): Promise<Output> {
    const token = await this.#token(signal);
    try {
      return await this.native.request(prepare(command, token, signal));
    } catch (error) {
      if (!InfrastructureError.is(error, 'unauthenticated') || !this.#session.refuse(token))
        throw error;
    }
    return await this.native.request(prepare(command, await this.#token(signal), signal));
  }

  // Without a token the command is not sent, whatever became of the login.
  async #token(signal: AbortSignal | undefined): Promise<Redacted> {
    try {
      return await this.#session.token(signal);
    } catch (error) {
      throw withOutcome(this.wrap(error, 'request', signal), 'not-applied');
    }
  }
}

function makeDriver<Schema>(
  url: URL,
  send: DirectusFetch,
  session: DirectusSession,
): DirectusDriver<Schema> {
  const native = createDirectus<Schema>(url.href, { globals: { fetch: send } })
    .with(() => ({ getToken: async () => (await session.token()).reveal() }))
    .with(rest());
  return {
    adapter: 'rest',
    capabilities: {},
    native,
    classify: classifySdkError,
    start: async (signal) => {
      const token = await session.token(signal);
      if (!session.isStatic) return;
      // A login has shown that Directus is there and knows the user; whoever has a token may ask who it is.
      const headers = { authorization: `Bearer ${token.reveal()}` };
      const init = { headers, ...(signal && { signal }) };
      const response = await send(endpoint(url, '/users/me?fields=id'), init);
      await response.body?.cancel();
    },
    checkHealth: async (signal) => {
      const response = await send(endpoint(url, '/server/ping'), signal ? { signal } : {});
      await response.body?.cancel();
    },
    close: async () => {
      await session.close(AbortSignal.timeout(LOGOUT_TIMEOUT_MS));
    },
  };
}

type CommandOptions = ReturnType<RestCommand<unknown, unknown>>;

// The SDK's own checks, such as of an empty key, throw plain errors.
function describeCommand<Output, Schema>(command: RestCommand<Output, Schema>): CommandOptions {
  try {
    return command();
  } catch (error) {
    throw invalidArgument(
      { component: 'directus', adapter: 'rest', operation: 'request' },
      error instanceof Error ? error.message : 'the command is not valid',
    );
  }
}

function prepare<Output, Schema>(
  command: RestCommand<Output, Schema>,
  token: Redacted,
  signal: AbortSignal | undefined,
): RestCommand<Output, Schema> {
  return () => {
    const options = command();
    return {
      ...options,
      // A token of the command's own (`withToken`) goes before ours.
      headers: { Authorization: `Bearer ${token.reveal()}`, ...options.headers },
      onRequest: async (init) => {
        const prepared = options.onRequest ? await options.onRequest(init) : init;
        return signal ? { ...prepared, signal } : prepared;
      },
    };
  };
}

function authRequest(url: URL, send: DirectusFetch): AuthRequest {
  return async (path, body, signal) => {
    const response = await send(endpoint(url, path), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    if (response.status === 204) return undefined;
    return ((await response.json()) as { readonly data?: unknown } | null)?.data;
  };
}

function endpoint(url: URL, path: string): URL {
  return new URL(url.pathname.replace(/\/$/, '') + path, url);
}

function parseUrl(given: string | URL): URL {
  const origin = { component: 'directus', adapter: 'rest' } as const;
  const text = String(given);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalidArgument(
      origin,
      `${JSON.stringify(scrubCredentials(text))} is not the address of a Directus server: give a URL that starts with https:// or http://`,
    );
  }
  if (url.username !== '' || url.password !== '')
    throw invalidArgument(
      origin,
      'the url holds credentials: give them as token, or as email and password',
    );
  return url;
}

function checkCredentials(credentials: DirectusCredentials): DirectusCredentials {
  const { token, email, password } = credentials;
  const isWhole =
    token === undefined
      ? Boolean(email) && password !== undefined
      : email === undefined && password === undefined;
  if (!isWhole)
    throw invalidArgument(
      { component: 'directus', adapter: 'rest' },
      'give either a token, or an email and a password',
    );
  // In a header it would fail with a message that shows it.
  if (token !== undefined && !/^[\u0021-\u007e]+$/.test(redact(token).reveal())) {
    throw invalidArgument(
      { component: 'directus', adapter: 'rest' },
      'the token is empty, or holds a space, a line break or something beyond ASCII',
    );
  }
  return credentials;
}
