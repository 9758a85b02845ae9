import type { PoolClient } from 'pg';

/**
 * Clients that were given back in this turn of the event loop, for whoever needs one in the same turn: the pool's own way from
 * one to the next costs two timers and a promise. At its end they go back to the pool.
 */
export class RestingClients {
  #clients: PoolClient[] = [];
  #isDue = false;

  /** `offer` is called when it can be had: what takes it there costs nothing more. */
  rest(client: PoolClient, offer: () => void): void {
    this.#clients.push(client);
    offer();
    if (this.#clients.length === 0 || this.#isDue) return;
    this.#isDue = true;
    // After all that is due in this turn. An immediate would have the event loop ask the system for events once more.
    queueMicrotask(() => {
      process.nextTick(() => {
        this.#isDue = false;
        this.giveBack();
      });
    });
  }

  take(): PoolClient | undefined {
    return this.#clients.pop();
  }

  giveBack(): void {
    const clients = this.#clients;
    this.#clients = [];
    for (const client of clients) client.release();
  }
}
