import type { DriverUploads, StorageCapabilities } from '../driver.ts';
import { StorageFault } from '../errors.ts';
import { FileStorage } from '../storage.ts';
import { LayerDriver } from './layer.ts';

const refuse = async (): Promise<never> => {
  throw new StorageFault({
    code: 'permission-denied',
    message: 'this storage was made read-only: write through the one that it was made of',
  });
};

/** Another storage, without its writes. */
export class ReadOnlyDriver<
  Capabilities extends StorageCapabilities = StorageCapabilities,
> extends LayerDriver<Capabilities> {
  override readonly uploads: DriverUploads = {
    create: refuse,
    putPart: refuse,
    listParts: refuse,
    complete: refuse,
    abort: refuse,
  };

  constructor(inner: FileStorage, capabilities: Capabilities) {
    super('read-only', inner, capabilities);
  }

  override async put(): Promise<never> {
    return await refuse();
  }

  override async delete(): Promise<never> {
    return await refuse();
  }

  override async deleteMany(): Promise<never> {
    return await refuse();
  }

  override async copy(): Promise<never> {
    return await refuse();
  }

  override async move(): Promise<never> {
    return await refuse();
  }

  override async signUpload(): Promise<never> {
    return await refuse();
  }

  // What was signed by the storage below for writing is not for this one to accept.
  override handler(): (request: Request) => Promise<Response> {
    const serve = this.native.handler();
    return async (request) =>
      request.method === 'GET' || request.method === 'HEAD'
        ? await serve(request)
        : new Response(null, { status: 405, headers: { allow: 'GET, HEAD' } });
  }
}

/**
 * A storage whose writes are all refused as `permission-denied`, signed uploads and uploads in parts included. Reads and `signedUrl`
 * pass. Other than `storage.reader()`, it is a whole `FileStorage`, for code that takes one. The storage below stays its owner's to close.
 *
 * @example
 * const archive = readOnly(files);
 */
export function readOnly<Inner extends FileStorage>(
  storage: Inner,
): FileStorage<ReadOnlyDriver<Inner['capabilities']>> {
  return new FileStorage(new ReadOnlyDriver(storage, storage.capabilities));
}
