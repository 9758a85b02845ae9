import { randomUUID } from 'node:crypto';

import type { Database } from '../../database/index.ts';
import { channel } from './postgres-dialect.ts';

const hintsOf = new WeakMap<object, Hints>();

/**
 * Wakes the listeners of all queues on one database: those of this process directly, and, where the engine carries
 * notifications, those of other processes through it.
 */
export class Hints {
  /** Tells the announcements of this process, whose listeners have been woken already, from those of others. */
  readonly origin: string = randomUUID();
  readonly #database: Database;
  readonly #listeners = new Set<() => void>();
  #stop: (() => void) | undefined;

  private constructor(database: Database) {
    this.#database = database;
  }

  static of<Schema>(database: Database<Schema>): Hints {
    let hints = hintsOf.get(database);
    if (hints === undefined) {
      hints = new Hints(database as unknown as Database);
      hintsOf.set(database, hints);
    }
    return hints;
  }

  /** Returns the function that ends it. */
  listen(listener: () => void): () => void {
    // Wrapped, so that one function given twice is two listeners.
    const own = (): void => {
      listener();
    };
    this.#listeners.add(own);
    if (this.#database.capabilities.notifications)
      this.#stop ??= this.#database.listen(channel, (payload) => {
        if (payload !== this.origin) this.give();
      });
    return () => {
      this.#listeners.delete(own);
      if (this.#listeners.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    };
  }

  readonly give = (): void => {
    for (const listener of this.#listeners) listener();
  };
}
