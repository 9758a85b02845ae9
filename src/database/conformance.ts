import type { ConformanceSuite } from '../core/index.ts';
import { constraintCases } from './conformance/constraints.ts';
import { kyselyCases } from './conformance/kysely.ts';
import { lifecycleCases } from './conformance/lifecycle.ts';
import { migrationCases } from './conformance/migrations.ts';
import { propagationCases } from './conformance/propagation.ts';
import { statementCases } from './conformance/statements.ts';
import type { DatabaseSubject } from './conformance/subject.ts';
import { transactionCases } from './conformance/transactions.ts';
import type { DatabaseCapabilities } from './driver.ts';

export type { ConformanceSchema, DatabaseSubject } from './conformance/subject.ts';

/** The rules that every Database keeps. */
export const databaseConformance: ConformanceSuite<DatabaseSubject, keyof DatabaseCapabilities> = {
  port: 'database',
  cases: [
    ...statementCases,
    ...constraintCases,
    ...kyselyCases,
    ...transactionCases,
    ...propagationCases,
    ...migrationCases,
    ...lifecycleCases,
  ],
};
