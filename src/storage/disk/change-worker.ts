// The thread that ChangeThread starts. It imports nothing of the house but what it needs, so that it is there within milliseconds.

import { parentPort, workerData } from 'node:worker_threads';

import type { ChangeAnswer, ChangeRequest } from './change-thread.ts';
import {
  Changes,
  type ChangesOptions,
  type Placed,
  RefusedChange,
  UnfinishedChange,
} from './changes.ts';

// Both are set by ChangeThread, which alone starts this.
const changes = new Changes(workerData as ChangesOptions);
const port = parentPort;

port?.on('message', ({ id, change, after }: ChangeRequest) => {
  const end = endOf(() => changes.make(change, after));
  port.postMessage({ id, latest: changes.latest, ...end } satisfies ChangeAnswer);
});

function endOf(make: () => Placed): Omit<ChangeAnswer, 'id' | 'latest'> {
  try {
    return { placed: make() };
  } catch (error) {
    if (error instanceof RefusedChange) return { refusal: error.refusal };
    if (error instanceof UnfinishedChange)
      return { failure: { ...failureOf(error.cause), applied: error.message } };
    return { failure: failureOf(error) };
  }
}

// An error that is sent to another thread loses its code.
function failureOf(error: unknown): NonNullable<ChangeAnswer['failure']> {
  const { message, code, syscall, path } = error as NodeJS.ErrnoException;
  return { message, code, syscall, path };
}
