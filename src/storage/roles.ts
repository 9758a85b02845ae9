import type { FileStorage } from './storage.ts';

/** The calls that only read. */
export const readerMethods = [
  'get',
  'head',
  'exists',
  'list',
  'listAll',
  'signedUrl',
  'publicUrl',
] as const;

/** The calls that only write. What they answer, such as `already-exists`, tells of a file no more than that. */
export const writerMethods = [
  'put',
  'delete',
  'deleteMany',
  'deletePrefix',
  'createUpload',
  'resumeUpload',
  'signedUpload',
] as const;

// They are bound, so that they ask for no `this`.
type BoundMethods<Name extends keyof FileStorage> = {
  readonly [Method in Name]: OmitThisParameter<FileStorage[Method]>;
};

/** A storage that can only be read; see {@link FileStorage.reader}. */
export type StorageReader = BoundMethods<(typeof readerMethods)[number]>;

/** A storage that can only be written; see {@link FileStorage.writer}. */
export type StorageWriter = BoundMethods<(typeof writerMethods)[number]>;

/** An object that has these methods of the storage, and no way to the others. */
export function pickMethods<const Name extends keyof FileStorage>(
  storage: object,
  names: readonly Name[],
): BoundMethods<Name> {
  const methods = names.map((name) => {
    const method: unknown = Reflect.get(storage, name);
    if (typeof method !== 'function') throw new TypeError(`${String(name)} is no method`);
    return [name, method.bind(storage)] as const;
  });
  // The names are those of the type.
  return Object.freeze(Object.fromEntries(methods)) as unknown as BoundMethods<Name>;
}
