// The thread that ChangeThread starts. It imports nothing of the house but what it needs, so that it is there within milliseconds.

import { parentPort, workerData } from 'node:worker_threads';

import type { ChangeAnswer, ChangeRequest } from './change-thread.ts';
import { Changes, type ChangesOptions, RefusedChange, UnfinishedChange } from './changes.ts';

// Both are set by ChangeThread, which alone starts this.
const changes = new Changes(workerData as ChangesOptions);
const port = parentPort;

port?.on('message', ({ id, change }: ChangeRequest) => {
  port.postMessage(answerOf(id, () => changes.make(change)));
});

function answerOf(id: number, make: () => NonNullable<ChangeAnswer['placed']>): ChangeAnswer {
  try {
    return { id, placed: make() };
  } catch (error) {
    if (error instanceof RefusedChange) return { id, refusal: error.refusal };
    if (error instanceof UnfinishedChange)
      return { id, failure: { ...failureOf(error.cause), applied: error.message } };
    return { id, failure: failureOf(error) };
  }
}

// An error that is sent to another thread loses its code.
function failureOf(error: unknown): NonNullable<ChangeAnswer['failure']> {
  const { message, code, syscall, path } = error as NodeJS.ErrnoException;
  return { message, code, syscall, path };
}
