import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { type ConformanceCase, type ErrorCode, InfrastructureError } from '../../core/index.ts';
import type { SignedUpload, StorageCapabilities } from '../driver.ts';
import type { FileStorage } from '../storage.ts';

/** A rule of the storage port. */
export type Case = ConformanceCase<FileStorage, keyof StorageCapabilities>;

/** These cases, of which each needs this capability too, with the inverse rule of an adapter that lacks something. */
export function requiring(
  capability: keyof StorageCapabilities,
  unsupported: (storage: FileStorage) => Promise<void>,
  cases: readonly Case[],
): readonly Case[] {
  return cases.map((one) => ({
    unsupported,
    ...one,
    requires: [capability, ...(one.requires ?? [])],
  }));
}

/** Fails unless the promise is rejected with an error of this code, and gives that error. */
export async function refused(
  code: ErrorCode,
  promise: Promise<unknown>,
  message = '',
): Promise<InfrastructureError> {
  const error = await promise.then(
    () => assert.fail(`${message} expected ${code}, but it succeeded`),
    (reason: unknown) => reason,
  );
  assert.ok(
    InfrastructureError.is(error),
    `${message} not an InfrastructureError: ${String(error)}`,
  );
  assert.equal(error.code, code, `${message} ${error.message}`);
  return error;
}

/** The text of a file. */
export async function textOf(storage: FileStorage, key: string): Promise<string> {
  return await (await storage.get(key)).text();
}

/** Every key that starts with the prefix. */
export async function keysOf(storage: FileStorage, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(storage.listAll({ prefix }))).map(({ key }) => key);
}

/** Bytes that differ at every position and between seeds, so that a swapped or repeated chunk shows. */
export function noise(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let index = 0, state = seed; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** More bytes than any adapter sends as one part of a stream whose length it does not know. */
export const large: number = 8 * 2 ** 20 + 1;

/** Bytes as a stream of pieces of this size. */
export async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < bytes.byteLength; start += size)
    yield bytes.subarray(start, start + size);
}

/** A stream that fails after its first piece. */
export async function* failingAfter(
  bytes: Uint8Array,
  error: Error,
): AsyncGenerator<Uint8Array, void> {
  yield bytes;
  throw error;
}

/** Answers a request for a signed URL: by the storage's own handler, or by the engine that the URL leads to. */
export async function send(
  storage: FileStorage,
  url: string,
  init: RequestInit = {},
): Promise<Response> {
  return storage.capabilities.handler
    ? await storage.handler()(new Request(url, init))
    : await fetch(url, init);
}

/** Sends content as a client that was given a signed upload does. */
export async function sendUpload(
  storage: FileStorage,
  upload: SignedUpload,
  content: string,
): Promise<Response> {
  if (upload.method === 'PUT')
    return await send(storage, upload.url, {
      method: 'PUT',
      headers: upload.headers,
      body: content,
    });
  const form = new FormData();
  for (const [name, value] of Object.entries(upload.fields)) form.set(name, value);
  form.set('file', new Blob([content]));
  return await send(storage, upload.url, { method: 'POST', body: form });
}

/** SHA-256 in hex. */
export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** CRC-32 as eight hex digits. */
export function crc32Of(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

/** Text as bytes. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Fails unless both are the same bytes; without the difference, which of large content takes a minute to print. */
export function sameBytes(
  actual: Uint8Array,
  expected: Uint8Array | undefined,
  message = '',
): void {
  assert.ok(
    expected !== undefined && Buffer.compare(actual, expected) === 0,
    `${message} other bytes than expected`,
  );
}
