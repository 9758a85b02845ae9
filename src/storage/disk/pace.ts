// Some fifty changes of small files on a quick disk.
const mostOfTurnMs = 4;
// In these two, up to three tenths of a millisecond for each call: three times what handing it to a thread costs.
const callsOfSpan = 32;
const mostOfSpanMs = 10;
// At most one part in so many of all time is spent on slow calls.
const restFactor = 500;

/**
 * Says whether blocking calls may be made on the event loop: as long as they are quick, and only a few in each of its turns. Where some
 * took too long, none may for five hundred times as long as they took.
 */
export class Pace {
  readonly #now: () => number;
  #turnMs = 0;
  #spanCalls = 0;
  #spanMs = 0;
  #restsUntil = 0;

  /** `now` gives milliseconds of a clock that nobody sets. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  mayBlock(): boolean {
    return this.#turnMs < mostOfTurnMs && this.#now() >= this.#restsUntil;
  }

  /** Makes blocking calls, and counts how long they take. */
  run<Result>(calls: () => Result): Result {
    const begun = this.#now();
    try {
      return calls();
    } finally {
      this.#count(begun, this.#now());
    }
  }

  #count(begun: number, ended: number): void {
    if (this.#turnMs === 0)
      setImmediate(() => {
        this.#turnMs = 0;
      });
    this.#turnMs += ended - begun;
    this.#spanMs += ended - begun;
    this.#spanCalls += 1;
    if (this.#spanMs > mostOfSpanMs) this.#restsUntil = ended + this.#spanMs * restFactor;
    if (this.#spanMs <= mostOfSpanMs && this.#spanCalls < callsOfSpan) return;
    this.#spanMs = 0;
    this.#spanCalls = 0;
  }
}
