import { invalidArgument } from '../core/index.ts';

/**
 * A value as a cache keeps it: a deep copy of what the caller gave, frozen, so that nobody can change what others read.
 *
 * A cache keeps plain data, the same kinds in memory as over a wire: `null`, booleans, numbers, bigints, strings, plain
 * objects, arrays, `Map`, `Set`, `Date` and `Uint8Array`.
 */
export interface SealedValue {
  readonly value: unknown;
  /** Holds a `Map`, `Set`, `Date` or bytes, which cannot be frozen: every reader gets a copy of its own. */
  readonly isMutable: boolean;
  /** Its size in bytes, estimated: two for a character, eight for a number or a reference, 48 for an object. */
  readonly size: number;
}

/** Deeper is refused: it is more likely a mistake than data, and recursion has an end. */
const MAX_DEPTH = 500;
const OBJECT_SIZE = 48;
const WORD_SIZE = 8;

/** Copies and freezes a value. Throws `invalid-argument`, with the path, for what is no plain data. */
export function sealValue(value: unknown): SealedValue {
  if (value === undefined) {
    throw invalidArgument(
      { component: 'cache' },
      'undefined cannot be cached, since it means a miss: cache null for "there is none"',
    );
  }
  const copier = new Copier();
  const copy = copier.copy(value);
  return { value: copy, isMutable: copier.isMutable, size: copier.size };
}

/** What a reader gets: the frozen value itself, or a copy where it could be changed. */
export function openValue(sealed: SealedValue): unknown {
  return sealed.isMutable ? new Copier().copy(sealed.value) : sealed.value;
}

class Copier {
  size = 0;
  isMutable = false;
  /** The objects that hold the one being copied, outermost first. */
  readonly #ancestors: object[] = [];

  copy(value: unknown): unknown {
    if (typeof value === 'object' && value !== null) return this.#copyObject(value);
    if (typeof value === 'function' || typeof value === 'symbol') {
      throw this.#refusal(value, `a ${typeof value} is not data`);
    }
    this.size += typeof value === 'string' ? value.length * 2 : WORD_SIZE;
    return value;
  }

  #copyObject(value: object): unknown {
    this.size += OBJECT_SIZE;
    if (value instanceof Date) {
      this.isMutable = true;
      return new Date(value.getTime());
    }
    if (value instanceof Uint8Array) {
      this.isMutable = true;
      this.size += value.byteLength;
      // Not `slice`: a Buffer's gives a view of the same memory.
      return new Uint8Array(value);
    }
    if (this.#ancestors.length >= MAX_DEPTH)
      throw this.#refusal(value, `it is nested deeper than ${MAX_DEPTH} levels`);
    if (this.#ancestors.includes(value)) throw this.#refusal(value, 'it contains itself');
    this.#ancestors.push(value);
    const copy = this.#copyContainer(value);
    this.#ancestors.pop();
    return copy;
  }

  #copyContainer(value: object): unknown {
    if (Array.isArray(value)) {
      this.size += value.length * WORD_SIZE;
      return Object.freeze(Array.from(value, (item: unknown) => this.copy(item)));
    }
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return this.#copyRecord(value as Readonly<Record<string, unknown>>);
    if (value instanceof Map) {
      this.isMutable = true;
      return new Map(
        Array.from(value, ([key, item]: [unknown, unknown]) => [this.copy(key), this.copy(item)]),
      );
    }
    if (value instanceof Set) {
      this.isMutable = true;
      return new Set(Array.from(value, (item: unknown) => this.copy(item)));
    }
    // An object of another realm is as plain as ours.
    if (
      Object.getPrototypeOf(prototype) === null &&
      Object.hasOwn(prototype as object, 'isPrototypeOf')
    ) {
      return this.#copyRecord(value as Readonly<Record<string, unknown>>);
    }
    this.#ancestors.pop();
    const name = (prototype as { constructor?: { name?: string } }).constructor?.name ?? 'class';
    throw this.#refusal(
      value,
      `it is an instance of ${name || 'a class'}: map it to plain data first`,
    );
  }

  #copyRecord(record: Readonly<Record<string, unknown>>): unknown {
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(record)) {
      this.size += key.length * 2 + WORD_SIZE;
      const item = this.copy(record[key]);
      // Assigned, it would become the copy's prototype.
      if (key === '__proto__') Object.defineProperty(copy, key, { value: item, enumerable: true });
      else copy[key] = item;
    }
    return Object.freeze(copy);
  }

  #refusal(value: unknown, reason: string): Error {
    const path = [...this.#ancestors, value]
      .slice(1)
      .map((item, index) => describeStep(this.#ancestors[index], item));
    return invalidArgument(
      { component: 'cache' },
      `the value${path.join('')} cannot be cached: ${reason}`,
    );
  }
}

function describeStep(parent: unknown, child: unknown): string {
  if (Array.isArray(parent)) return `[${parent.indexOf(child)}]`;
  if (parent instanceof Map || parent instanceof Set) return '.<entry>';
  const entry = Object.entries(parent as object).find(([, item]) => item === child);
  return `.${entry?.[0] ?? '?'}`;
}
