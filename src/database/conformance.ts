import type { ConformanceSuite } from '../core/index.ts';
import { lifecycleCases } from './conformance/lifecycle.ts';
import { propagationCases } from './conformance/propagation.ts';
import { statementCases } from './conformance/statements.ts';
import type { DatabaseSubject } from './conformance/subject.ts';
import { transactionCases } from './conformance/transactions.ts';
import type { DatabaseCapabilities } from './driver.ts';

export type { ConformanceSchema, DatabaseSubject } from './conformance/subject.ts';

/** The rules that every Database keeps. */
export const databaseConformance: ConformanceSuite<DatabaseSubject, keyof DatabaseCapabilities> = {
  port: 'database',
  cases: [...statementCases, ...transactionCases, ...propagationCases, ...lifecycleCases],
};
