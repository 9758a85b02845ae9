import type { NotificationListener } from '../driver.ts';

/** Runs a statement when the connection is free, however long that takes. */
export type RunStatement = (sql: string) => Promise<unknown>;

/**
 * Who listens to which channel. The one connection hears for all of them; there is no other that could notify, so that nothing is
 * missed before it is open.
 */
export class Notifications {
  readonly #run: RunStatement;
  readonly #listeners = new Map<string, Set<NotificationListener>>();
  /** What the connection has been told to listen to. */
  readonly #told = new Set<string>();
  #isOpen = false;
  #isTelling = false;

  constructor(run: RunStatement) {
    this.#run = run;
  }

  /** As {@link DatabaseDriver.listen}. */
  listen(channel: string, listener: NotificationListener): () => void {
    // An object of its own, so that one function may listen twice.
    const own: NotificationListener = (payload) => {
      listener(payload);
    };
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners);
    listeners.add(own);
    this.#tell();
    return () => {
      if (!listeners.delete(own) || listeners.size > 0) return;
      if (this.#listeners.get(channel) === listeners) this.#listeners.delete(channel);
      this.#tell();
    };
  }

  /** The connection is there. */
  start(): void {
    this.#isOpen = true;
    this.#tell();
  }

  close(): void {
    this.#isOpen = false;
    this.#listeners.clear();
  }

  readonly emit = (channel: string, payload: string): void => {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(payload);
      } catch {
        // A listener's mistake must not reach the other listeners.
      }
    }
  };

  #tell(): void {
    if (this.#isOpen && !this.#isTelling) void this.#tellAll();
  }

  /** In rounds, since listeners come and go while the connection is waited for. */
  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    while (this.#isOpen) {
      const added = [...this.#listeners.keys()].find((channel) => !this.#told.has(channel));
      const gone = [...this.#told].find((channel) => !this.#listeners.has(channel));
      const channel = added ?? gone;
      if (channel === undefined) break;
      if (added === undefined) this.#told.delete(channel);
      else this.#told.add(channel);
      // What the engine refuses, such as a name that is too long, nobody can notify either.
      await this.#run(`${added === undefined ? 'unlisten' : 'listen'} ${quoted(channel)}`).catch(
        () => undefined,
      );
    }
    this.#isTelling = false;
  }
}

function quoted(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`;
}
