import { randomInt } from 'node:crypto';

import { StorageFault } from '../errors.ts';
import { maxKeyBytes } from '../key.ts';
import type { FileStorage } from '../storage.ts';

/**
 * Where content lies in the storage below that is not served. `inbox`: what somebody with a signed URL sent, and may send again. `held`: what
 * nobody but this layer can change, and which is therefore what gets scanned. `dirty`: what is infected.
 */
type Area = 'inbox' | 'held' | 'dirty';

/** A version of a file on its way. */
export interface Slot {
  readonly key: string;
  /** Sorts by the time when it was made. */
  readonly id: string;
}

// Eight digits of time last until 2059. The last character says whether a condition goes with it.
const idPattern = /^[0-9a-z]{13}[cu]$/;
const idBytes = 14;
const longestKeyBytes = maxKeyBytes - 'inbox//'.length - idBytes;

/** A slot of its own for a new version. */
export function newSlot(key: string, now: number, isConditional: boolean): Slot {
  if (Buffer.byteLength(key) > longestKeyBytes)
    throw new StorageFault({
      code: 'invalid-argument',
      message: `the key ${JSON.stringify(`${key.slice(0, 100)}…`)} is longer than the ${longestKeyBytes} bytes that a quarantined storage holds`,
    });
  const time = now.toString(36).padStart(8, '0');
  const random = randomInt(36 ** 5)
    .toString(36)
    .padStart(5, '0');
  return { key, id: `${time}${random}${isConditional ? 'c' : 'u'}` };
}

/** Whether the version is only released by the call that gave it, which knows the condition. */
export function isConditional({ id }: Slot): boolean {
  return id.endsWith('c');
}

/** Whether a text is the id of a slot. */
export function isSlotId(id: unknown): id is string {
  return typeof id === 'string' && idPattern.test(id);
}

/** The key below. */
export function pathOf(area: Area, { key, id }: Slot): string {
  return `${area}/${key}/${id}`;
}

/** The slot at a key below; `undefined` for what somebody else put there. */
function slotAt(path: string): Slot | undefined {
  const start = path.indexOf('/') + 1;
  const end = path.lastIndexOf('/');
  const id = path.slice(end + 1);
  return end > start && isSlotId(id) ? { key: path.slice(start, end), id } : undefined;
}

/** Slots of one key, or of all keys that start with a prefix. */
export type PendingOf = { readonly key: string } | { readonly prefix: string };

/** The slots that there are in the storage below. */
export class Slots {
  readonly #inner: FileStorage;

  constructor(inner: FileStorage) {
    this.#inner = inner;
  }

  /** In the order of keys and, for each, of time. */
  async *list(
    area: Area,
    of: PendingOf,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<{ readonly slot: Slot; readonly since: Date }, void> {
    const only =
      'key' in of
        ? ({ prefix: `${area}/${of.key}/`, delimiter: '/' } as const)
        : { prefix: `${area}/${of.prefix}` };
    for (let after: string | undefined, isLast = false; !isLast;) {
      const from = after === undefined ? {} : { after };
      const page = await this.#inner.list({ ...only, ...from, signal });
      for (const { key, lastModified } of page.files) {
        const slot = slotAt(key);
        if (slot) yield { slot, since: lastModified };
      }
      after = page.next;
      isLast = after === undefined;
    }
  }

  async remove(
    area: Area,
    of: PendingOf,
    signal: AbortSignal | undefined,
    matches: (slot: Slot) => boolean,
  ): Promise<void> {
    for await (const { slot } of this.list(area, of, signal))
      if (matches(slot)) await this.#inner.delete(pathOf(area, slot), { signal });
  }

  /** Why a key is not served, if there is something to serve. */
  async stateOf(
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<'pending' | 'infected' | undefined> {
    for (const area of ['held', 'inbox', 'dirty'] as const) {
      const { done } = await this.list(area, { key }, signal).next();
      if (done !== true) return area === 'dirty' ? 'infected' : 'pending';
    }
    return undefined;
  }
}
