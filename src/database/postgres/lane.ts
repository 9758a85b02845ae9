import { withOutcome } from '../../core/index.ts';
import type { StatementResult } from '../driver.ts';
import { isCancelled, withoutValues } from '../postgres-sql/classify.ts';
import { isConnectionLost } from './classify.ts';
import { Execution } from './execution.ts';
import type { KnownStatement } from './known-statements.ts';
import type { Read } from './read.ts';
import { answerGrace, cancelGrace, noAnswer, type PostgresSession } from './session.ts';
import { isStale } from '../postgres-sql/stale-statements.ts';

/**
 * How long the reads on a lane may take together, in milliseconds, as far as that is known. The connections of a pool work side by
 * side: what takes longer is answered sooner on one of its own. Enough for 32 point selects of some 15 µs.
 */
const longestQueueMs = 0.5;

/** How long a lane keeps its connection while somebody waits for one, and how long when nobody does, in milliseconds. */
const turnMs = { contended: 10, free: 1000 };

/** What a {@link Lane} tells whoever made it. */
export interface LaneHost {
  /** Whether somebody waits for a connection. */
  readonly isContended: boolean;
  /** The server's limit for a statement, in milliseconds; 0 for none. */
  readonly statementTimeout: number;
  /** Sends a read on another lane, or on a new one. */
  again(read: Read): void;
  /** A read has been answered: there is room for another. */
  answered(): void;
  /** The lane has no read left, and has given its connection back. */
  ended(lane: Lane): void;
}

interface Sent {
  readonly read: Read;
  readonly expectedMs: number;
  /** Whether it was sent before the one before it was answered. */
  readonly isBehind: boolean;
  /** Whether its own limit of time is over. */
  isOverdue: boolean;
}

/**
 * A connection that reads share while there are any: each is sent at once, and the server answers them in their order. Each is a
 * transaction of its own, so that the failure of one is not the others'. It ends with its last read.
 */
export class Lane {
  readonly #session: PostgresSession;
  readonly #host: LaneHost;
  readonly #openedAt: number = performance.now();
  readonly #sent: Sent[] = [];
  /** How long all that was sent will take, as far as that is known. */
  #expectedMs = 0;
  /** Since when the first of them has been running. */
  #headSince = 0;
  /** The first at the last look: when it still is, those behind it have waited for too long. */
  #seen: Sent | undefined;
  #isSlow = false;
  #isClosed = false;
  #cancelled: Sent | undefined;
  #cancelledAt = 0;
  /** Settles when no request to cancel is on its way. */
  #cancelling: Promise<void> | undefined;

  constructor(session: PostgresSession, host: LaneHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Whether one more read of this statement may be sent on it, which does not have to wait for those before it, as far as is known. */
  takes({ typicalMs = longestQueueMs }: KnownStatement): boolean {
    return this.#sent.length === 0
      ? !this.#isClosed
      : this.#expectedMs + typicalMs <= longestQueueMs && this.#isOpen;
  }

  /** Whether one more read may be sent on it, as the next. */
  get takesNext(): boolean {
    return this.#sent.length < 2 && this.#isOpen;
  }

  send(read: Read): void {
    const { typicalMs: expectedMs = longestQueueMs } = read.execution.statement;
    const isBehind = this.#sent.length > 0;
    const sent: Sent = { read, expectedMs, isBehind, isOverdue: false };
    if (!isBehind) this.#headSince = performance.now();
    this.#sent.push(sent);
    this.#expectedMs += expectedMs;
    read.copies += 1;
    read.latest = sent;
    this.#session.submit(
      new Execution(read.execution, (error, result) => {
        this.#answered(sent, error, result);
      }),
    );
  }

  /** Gives the connection back if there is nothing to do on it. */
  endIfEmpty(): void {
    if (this.#sent.length > 0) return;
    this.#isClosed = true;
    if (this.#cancelling === undefined) this.#end();
    else void this.#cancelling.then(() => this.#end());
  }

  /** Nobody waits for this read any more: the server stops it if it is the one that runs. */
  letGo(read: Read): void {
    const [head] = this.#sent;
    if (head?.read === read) this.#cancel(head);
  }

  /** Called every now and then: whatever waits behind a slow read is sent elsewhere, and what nobody waits for is stopped. */
  sweep(): void {
    const [head] = this.#sent;
    this.#isSlow = head !== undefined && head === this.#seen;
    this.#seen = head;
    if (head === undefined || !this.#isSlow) return;
    const { statementTimeout } = this.#host;
    const now = performance.now();
    if (statementTimeout > 0 && now - this.#headSince > statementTimeout + answerGrace)
      head.isOverdue = true;
    if (head.isOverdue || head.read.isSettled) this.#cancel(head);
    // Those behind it are still here, since they have no answer: whoever waits for them gets it from elsewhere.
    if (head === this.#cancelled && now - this.#cancelledAt > cancelGrace) this.#session.destroy();
    for (const sent of this.#sent.slice(1)) {
      const { read } = sent;
      if (!read.isSettled && !read.isWaiting && read.latest === sent) this.#host.again(read);
    }
  }

  get #isOpen(): boolean {
    if (this.#isClosed || this.#isSlow || this.#cancelling !== undefined) return false;
    const turn = this.#host.isContended ? turnMs.contended : turnMs.free;
    return performance.now() - this.#openedAt < turn;
  }

  #answered(sent: Sent, error: unknown, result: StatementResult | undefined): void {
    const now = performance.now();
    this.#sent.shift();
    this.#expectedMs = this.#sent.length === 0 ? 0 : this.#expectedMs - sent.expectedMs;
    this.#isSlow = false;
    const { read } = sent;
    read.copies -= 1;
    if (result === undefined) this.#failed(sent, error);
    else {
      read.execution.statement.took(now - this.#headSince, sent.isBehind);
      read.answer(read.waitedMs === undefined ? result : { ...result, waitedMs: read.waitedMs });
    }
    this.#headSince = now;
    this.endIfEmpty();
    this.#host.answered();
  }

  #failed({ read, isOverdue }: Sent, error: unknown): void {
    const isLost = isConnectionLost(error);
    if (isLost) {
      this.#isClosed = true;
      this.#session.markBroken();
    }
    if (read.isSettled) return;
    if (isStale(error)) this.#host.again(read);
    // Meant for the one before it, which had ended when the request arrived.
    else if (this.#cancelling !== undefined && !isOverdue && isCancelled(error))
      this.#host.again(read);
    else if (!isLost) read.fail(withoutValues(error));
    // Else it is answered elsewhere.
    else if (read.copies === 0 && !read.isWaiting) read.fail(this.#lossOf(error, isOverdue));
  }

  #lossOf(error: unknown, isOverdue: boolean): unknown {
    const { reason } = this.#session;
    if (reason !== undefined) return withOutcome(reason, 'unknown');
    return isOverdue ? noAnswer(error) : error;
  }

  #cancel(head: Sent): void {
    if (this.#cancelled === head) return;
    this.#cancelled = head;
    this.#cancelledAt = performance.now();
    const earlier = this.#cancelling;
    this.#cancelling = this.#session
      .requestCancel()
      .catch(() => {
        this.#session.destroy();
      })
      .then(async () => await earlier);
  }

  #end(): void {
    this.#session.release({ rests: true });
    this.#host.ended(this);
  }
}
