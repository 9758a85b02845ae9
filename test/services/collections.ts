import { createHash, randomUUID } from 'node:crypto';

/** An administrator of a Directus, who makes there what tests need. */
export interface DirectusAdministrator {
  /** The server's URL without credentials. */
  readonly url: string;
  /** A static token that may do anything. */
  readonly token: string;
  /** Sends a request and gives the `data` of its answer. Throws for any answer that is no success. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** A field of a collection. */
export interface TestField {
  readonly field: string;
  readonly type: string;
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly meta?: Readonly<Record<string, unknown>>;
}

/** A user of a test's own, with a policy of its own. */
export interface TestUser {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  /** A static token. */
  readonly token: string;
}

/** The administrator whose credentials the URL of a server holds. */
export async function directusAdministrator(url: string): Promise<DirectusAdministrator> {
  const { origin, username, password } = new URL(url);
  const email = decodeURIComponent(username);
  // Whoever asks makes the same one, so that nobody takes another's away.
  const token = createHash('sha256').update(`token ${password}`).digest('hex');
  const known = await fetch(`${origin}/users/me`, authorized(token));
  if (!known.ok) {
    const login = await send(origin, 'POST', '/auth/login', {
      body: { email, password: decodeURIComponent(password) },
    });
    const { access_token } = login as { access_token: string };
    await send(origin, 'PATCH', '/users/me', { token: access_token, body: { token } });
  }
  return {
    url: origin,
    token,
    request: async (method, path, body) => await send(origin, method, path, { token, body }),
  };
}

/** Makes an empty collection, under a name of its own unless one is given. Gives its name. */
export async function makeCollection(
  administrator: DirectusAdministrator,
  fields: readonly TestField[],
  collection = `test_${randomUUID().replaceAll('-', '')}`,
): Promise<string> {
  // Without `accountability` Directus keeps no history of it, which takes longer than the writing itself.
  const meta = { accountability: null };
  await administrator.request('POST', '/collections', {
    collection,
    schema: {},
    meta,
    fields: fields.map((field) => ({ schema: {}, meta: {}, ...field })),
  });
  return collection;
}

/** Makes a user who may do these actions (`read`, `create`, `update`, `delete`) to these collections, with all fields. */
export async function makeUser(
  administrator: DirectusAdministrator,
  rights: Readonly<Record<string, readonly string[]>> = {},
): Promise<TestUser> {
  const name = randomUUID();
  const permissions = Object.entries(rights).flatMap(([collection, actions]) =>
    actions.map((action) => ({ collection, action, fields: ['*'] })),
  );
  const policy = (await administrator.request('POST', '/policies', { name, permissions })) as {
    id: string;
  };
  const user = {
    email: `${name}@example.com`,
    password: `password ${name}`,
    token: `token-${name}`,
  };
  const { id } = (await administrator.request('POST', '/users', {
    ...user,
    policies: { create: [{ policy: { id: policy.id } }], update: [], delete: [] },
  })) as { id: string };
  return { id, ...user };
}

async function send(
  origin: string,
  method: string,
  path: string,
  { token, body }: { readonly token?: string; readonly body?: unknown },
): Promise<unknown> {
  const response = await fetch(origin + path, {
    method,
    ...(token !== undefined && authorized(token)),
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: {
        'content-type': 'application/json',
        ...(token !== undefined && authorized(token).headers),
      },
    }),
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`);
  return text === '' ? undefined : (JSON.parse(text) as { data?: unknown }).data;
}

function authorized(token: string): { headers: { authorization: string } } {
  return { headers: { authorization: `Bearer ${token}` } };
}
