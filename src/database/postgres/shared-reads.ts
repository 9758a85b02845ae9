import { abortedBefore } from '../aborted.ts';
import type { StatementResult } from '../driver.ts';
import type { ExecutionOptions } from './execution.ts';
import type { KnownStatement } from './known-statements.ts';
import { Lane, type LaneHost } from './lane.ts';
import { Read } from './read.ts';
import type { PostgresSession } from './session.ts';

/** How often lanes are looked after, in milliseconds: a read that runs this long, up to twice, no longer has others behind it. */
const sweepMs = 25;

/** Where connections for reads come from. */
export interface ReadConnections {
  /** Whether somebody waits for one. */
  readonly isContended: boolean;
  /** Whether all there may be are in use. */
  readonly isFull: boolean;
  /** The server's limit for a statement, in milliseconds; 0 for none. */
  readonly statementTimeout: number;
  /** Gives one if that is possible at once. */
  tryAcquire(): PostgresSession | undefined;
  acquire(signal: AbortSignal): Promise<PostgresSession>;
}

/**
 * Runs reads outside of transactions: those that take no time on connections that they share, each other on one that it has to
 * itself. As all others they take the pool's places, and wait for them in the same queue.
 */
export class SharedReads implements LaneHost {
  readonly #connections: ReadConnections;
  /** In the order in which they were opened, and are filled. */
  readonly #lanes = new Set<Lane>();
  /** Those that wait for a place, which then serves as many of them as it can. */
  readonly #waiting = new Set<Read>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(connections: ReadConnections) {
    this.#connections = connections;
  }

  get isContended(): boolean {
    return this.#connections.isContended;
  }

  get statementTimeout(): number {
    return this.#connections.statementTimeout;
  }

  /** Rejects at once when the signal is aborted: a read that nobody waits for has done nothing. */
  async execute(execution: ExecutionOptions, signal?: AbortSignal): Promise<StatementResult> {
    if (signal?.aborted) throw abortedBefore(signal);
    const read = new Read({
      ...execution,
      signal,
      onAbort: (aborted) => {
        for (const lane of this.#lanes) lane.letGo(aborted);
      },
    });
    this.again(read);
    return await read.result;
  }

  again(read: Read): void {
    const { statement } = read.execution;
    const lane = this.#waiting.size > 0 ? undefined : (this.#laneFor(statement) ?? this.#open());
    if (lane === undefined) void this.#wait(read);
    else lane.send(read);
  }

  answered(): void {
    if (this.#waiting.size > 0) this.#serve();
  }

  ended(lane: Lane): void {
    this.#lanes.delete(lane);
  }

  #laneFor(statement: KnownStatement): Lane | undefined {
    for (const lane of this.#lanes) if (lane.takes(statement)) return lane;
    // With no connection left it would wait anyway.
    if (!this.#connections.isFull && !statement.isTried()) return undefined;
    for (const lane of this.#lanes) if (lane.takesNext) return lane;
    return undefined;
  }

  #open(): Lane | undefined {
    const session = this.#connections.tryAcquire();
    return session && this.#openOn(session);
  }

  #openOn(session: PostgresSession): Lane {
    const lane = new Lane(session, this);
    this.#lanes.add(lane);
    this.#sweeper ??= setInterval(() => {
      this.#sweep();
    }, sweepMs).unref();
    return lane;
  }

  async #wait(read: Read): Promise<void> {
    this.#waiting.add(read);
    const signal = read.startWaiting();
    const stop = (): void => void this.#waiting.delete(read);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const lane = this.#openOn(await this.#connections.acquire(signal));
      // Itself first: it waits for no other connection.
      if (this.#waiting.has(read)) this.#send(read, lane);
      this.#serve();
      lane.endIfEmpty();
    } catch (error) {
      // It has been sent, or has settled, and may even wait anew.
      if (signal.aborted) return;
      read.stopWaiting();
      // Else it may still be answered where it was sent first.
      if (read.copies === 0) read.fail(error);
    }
  }

  #serve(): void {
    for (const read of this.#waiting) {
      const lane = this.#laneFor(read.execution.statement);
      if (lane === undefined) return;
      this.#send(read, lane);
    }
  }

  #send(read: Read, lane: Lane): void {
    read.stopWaiting();
    lane.send(read);
  }

  #sweep(): void {
    if (this.#lanes.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
    for (const lane of this.#lanes) lane.sweep();
  }
}
