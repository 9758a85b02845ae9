import { describe, expectTypeOf, it } from 'vitest';

import { diskStorage } from './disk/index.ts';
import type {
  FileInfo,
  SignedForm,
  SignedPut,
  SignedUpload,
  StorageCapabilities,
  StorageDriver,
} from './driver.ts';
import { memoryStorage } from './memory.ts';
import { s3Storage } from './s3/index.ts';
import type { FileStorage } from './storage.ts';

declare const unsigned: FileStorage<
  StorageDriver & {
    readonly capabilities: StorageCapabilities & {
      readonly signedUrls: false;
      readonly signedUploads: false;
      readonly handler: false;
    };
  }
>;
declare const any: FileStorage;

describe('storage › types', () => {
  it('an adapter that cannot sign URLs has no call for it', () => {
    // @ts-expect-error signedUrls is false
    void unsigned.signedUrl('a', { expiresIn: '5m' });
    // @ts-expect-error signedUploads is false
    void unsigned.signedUpload('a', { expiresIn: '5m', maxSize: 1, contentType: 'text/csv' });
    // @ts-expect-error handler is false
    unsigned.handler();
    expectTypeOf(any.signedUrl('a', { expiresIn: '5m' })).resolves.toBeString();
    expectTypeOf(memoryStorage().signedUrl('a', { expiresIn: 1000 })).resolves.toBeString();
  });

  it('an embedded adapter is a FileStorage, and its native client is typed', () => {
    expectTypeOf(memoryStorage()).toExtend<FileStorage>();
    expectTypeOf(diskStorage({ directory: 'x' }).native.directory).toBeString();
    expectTypeOf(diskStorage({ directory: 'x' }).capabilities.nestedKeys).toEqualTypeOf<false>();
  });

  it('an adapter tells which kind of upload it signs', () => {
    const options = { expiresIn: '5m', maxSize: '1MiB', contentType: 'text/csv' } as const;
    expectTypeOf(memoryStorage().signedUpload('a', options)).resolves.toEqualTypeOf<SignedPut>();
    const inBucket = s3Storage({ bucket: 'x' });
    expectTypeOf(inBucket.signedUpload('a', options)).resolves.toEqualTypeOf<SignedForm>();
    expectTypeOf(any.signedUpload('a', options)).resolves.toEqualTypeOf<SignedUpload>();
    expectTypeOf(inBucket).toExtend<FileStorage>();
    // @ts-expect-error S3 serves its signed URLs itself
    inBucket.handler();
  });

  it('options are checked', () => {
    // @ts-expect-error the only condition on absence is '*'
    void any.put('a', 'x', { ifNoneMatch: 'etag' });
    // @ts-expect-error a range has a start or a suffix, not both
    void any.get('a', { range: { start: 0, suffix: 1 } });
    // @ts-expect-error a duration needs a unit that is known
    void any.signedUrl('a', { expiresIn: '5 minutes' });
    // @ts-expect-error a disk needs its directory
    diskStorage({});
    expectTypeOf(any.put('a', new Uint8Array())).resolves.toEqualTypeOf<FileInfo>();
  });
});
