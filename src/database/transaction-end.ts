import {
  abortReason,
  type Classify,
  InfrastructureError,
  type ErrorOrigin,
  withOutcome,
  wrapError,
} from '../core/index.ts';

/** What a {@link TransactionEnd} is made of. */
export interface TransactionEndOptions {
  readonly origin: ErrorOrigin;
  readonly classify: Classify;
  /** Whether an error means that the connection is gone with whatever was on it. */
  readonly isConnectionLost: (error: unknown) => boolean;
  /** The connection that it has. */
  readonly session: {
    /** As the server last said. */
    readonly inTransaction: boolean;
    /** Cancels what is running, and refuses what waits behind it. */
    interrupt(): Promise<void>;
  };
  readonly sendRollback: () => Promise<unknown>;
  /** Gives the connection back, which is closed unless its transaction has ended. */
  readonly release: () => void | Promise<void>;
}

/** How a transaction on a server's connection ends: once, and with its connection given back. Or what keeps it from going on. */
export class TransactionEnd {
  readonly #options: TransactionEndOptions;
  #isOver = false;
  #broken: Error | undefined;

  constructor(options: TransactionEndOptions) {
    this.#options = options;
  }

  /** Whether it was committed or rolled back, or is about to be. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether nothing more can be done in it, and it cannot be committed. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Nothing more can be done in it, for this reason, or for an earlier one: gives which. */
  break(reason: Error): Error {
    this.#broken ??= reason;
    return this.#broken;
  }

  /** Throws why it cannot go on, if it cannot. */
  assertOpen(): void {
    if (this.#isOver) throw this.#overError();
    if (this.#broken !== undefined) throw this.#broken;
  }

  /** The error of a statement in it: nothing that came before the commit can take effect without it. */
  notApplied(error: unknown): InfrastructureError {
    const { origin, classify } = this.#options;
    return withOutcome(wrapError(error, origin, classify), 'not-applied');
  }

  /** Ends it by what `send` does; what that could not commit is rolled back. */
  async commit(send: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    this.#end();
    const { origin, classify, isConnectionLost, session, sendRollback, release } = this.#options;
    try {
      if (this.#broken !== undefined) throw this.#broken;
      await send();
    } catch (error) {
      // The server had the request: nobody knows whether it was carried out.
      if (isConnectionLost(error)) {
        const reason = signal?.aborted ? abortReason(signal) : error;
        throw withOutcome(wrapError(reason, origin, classify), 'unknown');
      }
      if (session.inTransaction) await sendRollback().catch(() => undefined);
      throw error;
    } finally {
      await release();
    }
  }

  /** Ends what is under way, and it. */
  async rollback(): Promise<void> {
    this.#end();
    const { session, sendRollback, release } = this.#options;
    try {
      await session.interrupt();
      if (session.inTransaction) await sendRollback();
    } finally {
      // What it could not roll back is closed, upon which the server does.
      await release();
    }
  }

  #end(): void {
    if (this.#isOver) throw this.#overError();
    this.#isOver = true;
  }

  #overError(): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      ...this.#options.origin,
      message: 'this transaction has ended',
    });
  }
}
