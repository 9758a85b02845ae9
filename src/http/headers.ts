import { invalidArgument, type Redacted } from '../core/index.ts';

/** What the transport or an option of its own decides. */
const OWN_HEADERS = [
  'authorization',
  'connection',
  'content-length',
  'host',
  'idempotency-key',
  'transfer-encoding',
];

/** The request with this Authorization header, if there is one. */
export function withAuthorization(request: RequestInit, header: Redacted | undefined): RequestInit {
  if (header === undefined) return request;
  const headers = new Headers(request.headers);
  headers.set('authorization', header.reveal());
  return { ...request, headers };
}

/** Headers that a caller gives. Throws `invalid-argument` for one that the client sets itself or HTTP does not allow. */
export function checkHeaders(headers: Readonly<Record<string, string>> = {}): Headers {
  const own = Object.keys(headers).find((name) => OWN_HEADERS.includes(name.toLowerCase()));
  if (own !== undefined)
    throw invalidArgument(
      { component: 'http' },
      `the header "${own}" is set by the client: use \`auth\`, \`idempotencyKey\` or the body for what it says`,
    );
  return toHeaders(headers);
}

/** Headers, or `invalid-argument` without the value, which the platform's own message would show. */
export function toHeaders(headers: Readonly<Record<string, string>>): Headers {
  const checked = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    try {
      checked.set(name, value);
    } catch {
      throw invalidArgument(
        { component: 'http' },
        `the header ${JSON.stringify(name)} has a name or a value that HTTP does not allow, such as one with a line break`,
      );
    }
  }
  return checked;
}
