/** Runs functions of one key one after another, in the order of their calls; those of different keys do not wait. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  async run<Result>(key: string, fn: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(key);
    const current = before === undefined ? fn() : before.then(fn, fn);
    const tail = current.catch(() => undefined);
    this.#tails.set(key, tail);
    try {
      return await current;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
