import path from 'node:path';
import { Worker } from 'node:worker_threads';

import { faultOf, unfinished } from './change-errors.ts';
import type { Change, ChangesOptions, Placed, Refusal } from './changes.ts';

/** What the thread is sent. */
export interface ChangeRequest {
  readonly id: number;
  readonly change: Change;
  /** The latest version that was put by others, or by a thread before this one. */
  readonly after: number;
}

/** What it answers: one of the three, and which version is the latest. */
export interface ChangeAnswer {
  readonly id: number;
  readonly latest: number;
  readonly placed?: Placed;
  readonly refusal?: Refusal;
  readonly failure?: {
    readonly message: string;
    readonly code: string | undefined;
    readonly syscall: string | undefined;
    readonly path: string | undefined;
    /** Says what has taken place all the same. */
    readonly applied?: string;
  };
}

interface Waiter {
  readonly resolve: (placed: Placed) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A thread in which a storage changes its tree (see {@link Changes}): a change is one message there and one back, which costs a small put a third of what
 * its ten calls would cost one by one. Started by the first change that it is given; keeps the process alive only while it works.
 */
export class ChangeThread {
  readonly #options: ChangesOptions;
  readonly #waiting = new Map<number, Waiter>();
  #worker: Worker | undefined;
  #lastId = 0;
  #latest = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /** The greatest version of all puts that it has made. */
  get latest(): number {
    return this.#latest;
  }

  /** Whether it has made all that it was given. */
  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Makes a change; a put under a version that is greater than `after`. Throws a {@link StorageFault} for what is refused, and the
   * operating system's own errors.
   */
  async make(change: Change, after: number): Promise<Placed> {
    const worker = (this.#worker ??= this.#start());
    this.#lastId += 1;
    const id = this.#lastId;
    const request: ChangeRequest = { id, change, after: Math.max(after, this.#latest) };
    return await new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) worker.ref();
      this.#waiting.set(id, { resolve, reject });
      // eslint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(request);
    });
  }

  /** Ends the thread once all changes under way are made. */
  async close(): Promise<void> {
    if (this.#waiting.size > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    // Beside this module, in the same language: .ts in the sources, .js in the package.
    const entry = new URL(`change-worker${path.extname(import.meta.filename)}`, import.meta.url);
    // Without the flags of this process, such as --input-type, which not every thread may have.
    const worker = new Worker(entry, {
      workerData: this.#options,
      execArgv: [],
      name: 'underpin-storage',
    });
    worker.unref();
    worker.on('message', (answer: ChangeAnswer) => {
      this.#take(answer, worker);
    });
    worker.on('error', (error) => {
      this.#fail(worker, error);
    });
    worker.on('exit', () => {
      this.#fail(worker, new Error('the thread that changes the storage ended'));
    });
    return worker;
  }

  #take(answer: ChangeAnswer, worker: Worker): void {
    const waiter = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    this.#latest = answer.latest;
    if (this.#waiting.size === 0) {
      worker.unref();
      this.#whenIdle?.();
    }
    if (answer.refusal) waiter?.reject(faultOf(answer.refusal));
    else if (answer.failure) waiter?.reject(failureOf(answer.failure));
    else if (answer.placed) waiter?.resolve(answer.placed);
  }

  // The next change starts another thread.
  #fail(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#whenIdle?.();
  }
}

function failureOf({
  message,
  code,
  syscall,
  path: file,
  applied,
}: NonNullable<ChangeAnswer['failure']>): Error {
  const error = Object.assign(new Error(message), { code, syscall, path: file });
  return applied === undefined ? error : unfinished(applied, error);
}
