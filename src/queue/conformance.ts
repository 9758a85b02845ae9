import type { ConformanceSuite } from '../core/index.ts';
import { claimCases } from './conformance/claims.ts';
import { enqueueCases } from './conformance/enqueue.ts';
import { inspectionCases } from './conformance/inspection.ts';
import type { QueueSubject } from './conformance/scene.ts';
import { transactionCases } from './conformance/transactions.ts';
import { workerCases } from './conformance/workers.ts';

export type { QueueSubject, QueueTransactions } from './conformance/scene.ts';

/** The rules that every adapter of the queue keeps. */
export const queueConformance: ConformanceSuite<QueueSubject, 'transactions'> = {
  port: 'queue',
  cases: [...enqueueCases, ...claimCases, ...inspectionCases, ...workerCases, ...transactionCases],
};
