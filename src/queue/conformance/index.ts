import type { ConformanceSuite } from '../../core/index.ts';
import { claimCases } from './claims.ts';
import { enqueueCases } from './enqueue.ts';
import { inspectionCases } from './inspection.ts';
import type { QueueSubject } from './scene.ts';
import { transactionCases } from './transactions.ts';
import { workerCases } from './workers.ts';

export type { QueueSubject, QueueTransactions } from './scene.ts';

/** The rules that every adapter of the queue keeps. */
export const queueConformance: ConformanceSuite<QueueSubject, 'transactions'> = {
  port: 'queue',
  cases: [...enqueueCases, ...claimCases, ...inspectionCases, ...workerCases, ...transactionCases],
};
