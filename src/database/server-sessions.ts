import {
  abortable,
  type Classify,
  InfrastructureError,
  withOutcome,
  wrapError,
} from '../core/index.ts';
import { abortedBefore } from './aborted.ts';
import { Semaphore } from './semaphore.ts';

/** A connection while somebody has it. */
interface ServerSession {
  /** Cuts it: whatever runs on it, or is still to run, fails with the reason. */
  destroy(reason: InfrastructureError): void;
  /** Gives it back, once. */
  release(): void;
}

/** Where a session comes from, once a place is free; `waitedMs` is how long that took, and undefined when one was. */
interface SessionSource<Session> {
  /** One on a connection that is there. Called in the step in which the place is given up, so that whoever had it can leave its connection. */
  readonly atHand?: (waitedMs: number | undefined) => Session | undefined;
  readonly open: (waitedMs: number | undefined) => Promise<Session>;
}

/** What {@link ServerSessions} are made of. */
export interface ServerSessionsOptions {
  readonly adapter: string;
  /** Names the server's database. */
  readonly where: string;
  readonly classify: Classify;
  readonly poolSize: number;
  /** How long a place is waited for, in milliseconds. */
  readonly waitTimeout: number;
}

/**
 * Who has a connection to a server: each has one of the pool's places, which are waited for in turn, and nobody has any once it is
 * closed. The wait is here, since one in a client's own pool cannot be cancelled.
 */
export class ServerSessions<Session extends ServerSession> {
  readonly #options: ServerSessionsOptions;
  readonly #places: Semaphore;
  readonly #open = new Set<Session>();
  #isClosed = false;

  constructor(options: ServerSessionsOptions) {
    this.#options = options;
    const { poolSize, where } = options;
    this.#places = new Semaphore(`one of the ${poolSize} connections to ${where}`, poolSize);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether every place is taken. */
  get isFull(): boolean {
    return this.#places.isFull;
  }

  /** Whether somebody waits for a place. */
  get isContended(): boolean {
    return this.#places.isContended;
  }

  /** Gives a session once a place is free. */
  async acquire(
    signal: AbortSignal | undefined,
    { atHand, open }: SessionSource<Session>,
  ): Promise<Session> {
    const { waitTimeout } = this.#options;
    const startedAt = performance.now();
    let session: Session | undefined;
    const waitedMs = await this.#places.acquire({
      timeout: waitTimeout,
      signal,
      onAdmitted: () => {
        session = this.#kept(atHand?.(performance.now() - startedAt));
      },
    });
    try {
      this.assertOpen();
      session ??= this.#kept(atHand?.(waitedMs) ?? (await open(waitedMs)));
    } catch (error) {
      // One that is there already was cut, and has left its place.
      if (session === undefined) this.#places.release();
      throw error;
    }
    // It may have been closed while the session was on its way here.
    if (this.#isClosed) this.#cut(session);
    this.assertOpen();
    return session;
  }

  /** Has `open` make a session if a place is free, and it can at once. */
  tryAcquire(open: () => Session | undefined): Session | undefined {
    if (this.#isClosed || !this.#places.tryAcquire()) return undefined;
    const session = this.#kept(open());
    if (session === undefined) this.#places.release();
    return session;
  }

  /** To be called once for each session, when it has been given back. */
  released(session: Session): void {
    this.#open.delete(session);
    this.#places.release();
  }

  /** Waits for a connection to be there; the caller discards it when this throws, and whatever comes of it later. */
  async connected<Connection>(
    connecting: Promise<Connection>,
    signal: AbortSignal | undefined,
  ): Promise<Connection> {
    try {
      const connection = await (signal === undefined ? connecting : abortable(connecting, signal));
      this.assertOpen();
      return connection;
    } catch (error) {
      if (signal?.aborted) throw abortedBefore(signal);
      this.assertOpen();
      // Nothing has been sent yet.
      const { adapter, classify } = this.#options;
      const origin = { component: 'database', adapter };
      throw withOutcome(wrapError(error, origin, classify), 'not-applied');
    }
  }

  /** Resolves when nobody has a connection. */
  async drain(signal?: AbortSignal): Promise<void> {
    await this.#places.untilIdle(signal);
  }

  /** Refuses who waits, and cuts the connections that somebody has. */
  close(): void {
    this.#isClosed = true;
    this.#places.refuseAll(this.#closedError());
    for (const session of this.#open) this.#cut(session);
  }

  /** Throws `failed-precondition` once it is closed. */
  assertOpen(): void {
    if (this.#isClosed) throw this.#closedError();
  }

  #kept<Opened extends Session | undefined>(session: Opened): Opened {
    if (session !== undefined) this.#open.add(session);
    return session;
  }

  #cut(session: Session): void {
    session.destroy(this.#closedError());
    session.release();
  }

  #closedError(): InfrastructureError {
    const { adapter, where } = this.#options;
    return new InfrastructureError({
      code: 'failed-precondition',
      component: 'database',
      adapter,
      message: `the database at ${where} is closed`,
    });
  }
}
