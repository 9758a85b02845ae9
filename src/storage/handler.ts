import { randomUUID } from 'node:crypto';

import { InfrastructureError } from '../core/index.ts';
import type { ByteRange, FileInfo } from './driver.ts';
import { extentsOf, parseRanges } from './http-range.ts';
import type { Grant, UrlSigner } from './signed-url.ts';
import type { FileStorage } from './storage.ts';
import type { StoredFile } from './stored-file.ts';

// An answer is only ever shown as what it was stored as, and a page that is stored cannot run scripts on the application's origin.
const safetyHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
} as const;

/** Serves the URLs that `signer` signed from `storage`; see {@link FileStorage.handler}. */
export function storageHandler(
  storage: FileStorage,
  signer: UrlSigner,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== 'GET' && method !== 'PUT') return refuse(405, { allow: 'GET, HEAD, PUT' });
    const grant = signer.verify(new URL(request.url));
    if (grant?.method !== method) return refuse(403);
    try {
      return method === 'PUT'
        ? await receive(storage, grant, request)
        : await serve(storage, grant, request);
    } catch (error) {
      return refuse(statusOf(error));
    }
  };
}

async function serve(storage: FileStorage, grant: Grant, request: Request): Promise<Response> {
  const { headers: asked, signal } = request;
  if (request.method === 'HEAD') {
    const info = await storage.head(grant.key, { signal });
    const headers = { ...headersOf(info, grant), 'content-length': String(info.size) };
    return answerConditions(asked, info, headers) ?? new Response(null, { headers });
  }
  const ranges = parseRanges(asked.get('range')) ?? [];
  const several =
    ranges.length > 1 ? await serveSeveral(storage, grant, request, ranges) : undefined;
  if (several) return several;
  const file = await open(storage, grant.key, request, ranges.length === 1 ? ranges[0] : undefined);
  if (file instanceof Response) return file;
  const { info, range } = file;
  const headers = headersOf(info, grant);
  const refusal = answerConditions(asked, info, headers);
  if (refusal) {
    await file.cancel();
    return refusal;
  }
  const { start, end } = range ?? { start: 0, end: info.size - 1 };
  return new Response(file.stream(), {
    status: range ? 206 : 200,
    headers: {
      ...headers,
      'content-length': String(end + 1 - start),
      ...(range && { 'content-range': `bytes ${start}-${end}/${info.size}` }),
    },
  });
}

// Several ranges as one answer of several parts (RFC 9110 §14.6); nothing where the whole is the better answer.
async function serveSeveral(
  storage: FileStorage,
  grant: Grant,
  { headers: asked, signal }: Request,
  ranges: readonly ByteRange[],
): Promise<Response | undefined> {
  const info = await storage.head(grant.key, { signal });
  const headers = headersOf(info, grant);
  const refusal = answerConditions(asked, info, headers);
  if (refusal) return refusal;
  if (!isOfVersion(asked, info)) return undefined;
  const extents = extentsOf(ranges, info.size);
  if (extents.length === 0) return refuse(416, { 'content-range': `bytes */${info.size}` });
  const wanted = extents.reduce((sum, { start, end }) => sum + end + 1 - start, 0);
  // Ranges that overlap ask for more than there is.
  if (wanted > info.size) return undefined;
  const boundary = randomUUID();
  const heads = extents.map(({ start, end }) =>
    Buffer.from(
      `\r\n--${boundary}\r\ncontent-type: ${headers['content-type']}\r\ncontent-range: bytes ${start}-${end}/${info.size}\r\n\r\n`,
    ),
  );
  const close = Buffer.from(`\r\n--${boundary}--\r\n`);
  const parts = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (const [index, range] of extents.entries()) {
      yield new Uint8Array(heads[index] ?? []);
      // Of the same version as the first, or the answer breaks off.
      const file = await storage.get(grant.key, { range, ifMatch: info.etag, signal });
      yield* file.stream();
    }
    yield new Uint8Array(close);
  };
  const framing = heads.reduce((sum, { length }) => sum + length, close.length);
  return new Response(ReadableStream.from(parts()), {
    status: 206,
    headers: {
      ...headers,
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(wanted + framing),
    },
  });
}

// The range that the request wants, or the whole; or the answer that the file has no such range.
async function open(
  storage: FileStorage,
  key: string,
  { headers, signal }: Request,
  range: ByteRange | undefined,
): Promise<StoredFile | Response> {
  if (!range) return await storage.get(key, { signal });
  try {
    const file = await storage.get(key, { signal, range });
    if (isOfVersion(headers, file.info)) return file;
    await file.cancel();
  } catch (error) {
    if (!InfrastructureError.is(error, 'invalid-argument')) throw error;
    const info = await storage.head(key, { signal });
    if (isOfVersion(headers, info)) return refuse(416, { 'content-range': `bytes */${info.size}` });
  }
  // If-Range of another version asks for the whole of this one.
  return await storage.get(key, { signal });
}

function isOfVersion(headers: Headers, { etag }: FileInfo): boolean {
  const ifRange = headers.get('if-range');
  return ifRange === null || ifRange === `"${etag}"`;
}

// The answer to a request whose conditions do not hold.
function answerConditions(
  asked: Headers,
  info: FileInfo,
  headers: Readonly<Record<string, string>>,
): Response | undefined {
  const ifMatch = asked.get('if-match');
  if (ifMatch !== null && !matches(ifMatch, info.etag)) return refuse(412);
  return isModified(asked, info) ? undefined : new Response(null, { status: 304, headers });
}

async function receive(storage: FileStorage, grant: Grant, request: Request): Promise<Response> {
  const { contentType, maxSize = 0 } = grant;
  if (contentType === undefined || request.headers.get('content-type') !== contentType)
    return refuse(415);
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) > maxSize) return refuse(413);
  const body = request.body ?? new Blob([]).stream();
  const info = await storage.put(grant.key, limited(body, maxSize), {
    contentType,
    ...(grant.sha256 === undefined ? {} : { sha256: grant.sha256 }),
    signal: request.signal,
  });
  return new Response(null, { status: 201, headers: { etag: `"${info.etag}"` } });
}

async function* limited(
  body: AsyncIterable<Uint8Array>,
  maxSize: number,
): AsyncGenerator<Uint8Array, void> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxSize) {
      throw new InfrastructureError({
        code: 'invalid-argument',
        component: 'storage',
        operation: 'put',
        message: `the body has more than the ${maxSize} bytes that were signed`,
        details: { maxSize },
      });
    }
    yield chunk;
  }
}

function headersOf(info: FileInfo, grant: Grant): Record<string, string> {
  return {
    ...safetyHeaders,
    'accept-ranges': 'bytes',
    'content-type': grant.contentType ?? info.contentType,
    etag: `"${info.etag}"`,
    'last-modified': info.lastModified.toUTCString(),
    'cache-control': info.cacheControl ?? 'private, no-cache',
    ...(grant.contentDisposition === undefined
      ? {}
      : { 'content-disposition': grant.contentDisposition }),
  };
}

function isModified(headers: Headers, info: FileInfo): boolean {
  const etags = headers.get('if-none-match');
  if (etags !== null) return !matches(etags, info.etag);
  const since = Date.parse(headers.get('if-modified-since') ?? '');
  // HTTP dates have whole seconds.
  return Number.isNaN(since) || Math.floor(info.lastModified.getTime() / 1000) * 1000 > since;
}

function matches(list: string, etag: string): boolean {
  return list.split(',').some((entry) => ['*', `"${etag}"`, `W/"${etag}"`].includes(entry.trim()));
}

function statusOf(error: unknown): number {
  if (!InfrastructureError.is(error)) return 500;
  if (error.code === 'not-found') return 404;
  if (error.code === 'resource-exhausted') return 507;
  // What was sent does not have the checksum that was signed.
  if (error.code === 'data-loss' && error.outcome === 'not-applied') return 422;
  if (error.details['maxSize'] !== undefined) return 413;
  if (error.code === 'unavailable') return 503;
  return 500;
}

function refuse(status: number, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(null, {
    status,
    headers: { ...safetyHeaders, 'cache-control': 'no-store', ...headers },
  });
}
