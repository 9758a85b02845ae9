/**
 * Keeps what was used of late, between `size` and twice as much. In two generations, so that a use costs nothing: what is not
 * used while a generation fills up goes with it.
 */
export class Recent<Key, Value> {
  readonly #size: number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined || this.#young.size >= this.#size) return old;
    this.#old.delete(key);
    this.#young.set(key, old);
    return old;
  }

  /** Adds what is not kept yet; gives what is dropped for it. */
  add(key: Key, value: Value): Iterable<Value> {
    let dropped: Iterable<Value> = [];
    if (this.#young.size >= this.#size) {
      dropped = this.#old.values();
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return dropped;
  }

  delete(key: Key): void {
    if (!this.#young.delete(key)) this.#old.delete(key);
  }
}
