import { InfrastructureError, invalidArgument } from '../core/index.ts';

/** A request's body beside JSON. Streams are left out: they cannot be sent a second time. */
export type HttpBody = string | Uint8Array<ArrayBuffer> | Blob | FormData | URLSearchParams;

/** JSON text of a value. Throws `invalid-argument` for what has none. */
export function toJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw invalidArgument(
      { component: 'http' },
      `the json of the request cannot be written: ${error instanceof Error ? error.name : 'it throws'}`,
    );
  }
  if (text === undefined)
    throw invalidArgument(
      { component: 'http' },
      'the json of the request is undefined or a function: leave `json` out for no body',
    );
  return text;
}

/** Reads a body up to a limit; beyond it the rest is cancelled and it fails as `resource-exhausted`. */
export async function readBounded(
  response: Response,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  // The answer to a HEAD announces the body that a GET would have.
  if (response.body === null) return new Uint8Array();
  const announced = Number(response.headers.get('content-length') ?? 0);
  if (announced > maxBytes) {
    await response.body.cancel();
    throw tooLarge(maxBytes);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop by an error cancels the stream.
  for await (const chunk of response.body) {
    size += (chunk as Uint8Array).byteLength;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk as Uint8Array);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function tooLarge(maxBytes: number): InfrastructureError {
  return new InfrastructureError({
    code: 'resource-exhausted',
    component: 'http',
    retryable: false,
    message: `the answer is larger than ${maxBytes} bytes: ask for less, or raise maxResponseSize`,
  });
}
