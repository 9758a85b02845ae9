import { invalidArgument } from '../../core/index.ts';
import type { DriverList, ListPage, StorageCapabilities } from '../driver.ts';
import { checkPrefix } from '../key.ts';
import { FileStorage } from '../storage.ts';
import { LayerDriver } from './layer.ts';

/** Keys below a prefix of another storage. */
export class PrefixedDriver<
  Capabilities extends StorageCapabilities = StorageCapabilities,
> extends LayerDriver<Capabilities> {
  readonly #prefix: string;

  constructor(inner: FileStorage, prefix: string, capabilities: Capabilities, name = 'prefixed') {
    super(name, inner, capabilities);
    const origin = { component: 'storage', adapter: this.adapter, operation: 'prefixed' };
    checkPrefix(prefix, origin);
    if (!prefix.endsWith('/'))
      throw invalidArgument(
        origin,
        `the prefix ${JSON.stringify(prefix)} does not end with a slash, so that it would hold other names that begin alike: give ${JSON.stringify(`${prefix}/`)}`,
      );
    this.#prefix = prefix;
  }

  override async list(options: DriverList, signal?: AbortSignal): Promise<ListPage> {
    const { prefix, after } = options;
    const page = await super.list(
      {
        ...options,
        prefix: this.innerKey(prefix),
        after: after === undefined ? undefined : this.innerKey(after),
      },
      signal,
    );
    return {
      files: page.files.map((file) => ({ ...file, key: this.outerKey(file.key) })),
      prefixes: page.prefixes.map((folder) => this.outerKey(folder)),
      ...(page.next === undefined ? {} : { next: this.outerKey(page.next) }),
    };
  }

  protected override innerKey(key: string): string {
    return this.#prefix + key;
  }

  protected override outerKey(key: string): string {
    return key.startsWith(this.#prefix) ? key.slice(this.#prefix.length) : key;
  }

  // Errors quote keys as JSON does.
  protected override outerMessage(message: string): string {
    return message.replaceAll(JSON.stringify(this.#prefix).slice(0, -1), '"');
  }
}

/**
 * The files whose keys start with a prefix, such as those of one tenant, as a storage of their own: there is no way out of it, and
 * nobody in it sees the prefix. Keys have as many bytes less as the prefix has. The storage below stays its owner's to close.
 *
 * Throws `invalid-argument` for a prefix that no key could have, or that does not end with a slash.
 *
 * @example
 * const tenant = prefixed(files, 'tenants/7/');
 * await tenant.put('logo.png', logo); // 'tenants/7/logo.png'
 */
export function prefixed<Inner extends FileStorage>(
  storage: Inner,
  prefix: string,
): FileStorage<PrefixedDriver<Inner['capabilities']>> {
  return new FileStorage(new PrefixedDriver(storage, prefix, storage.capabilities));
}
