import type { ConformanceSuite } from '../../core/index.ts';
import { callsCases } from './calls.ts';
import { criteriaCases } from './criteria.ts';
import { lockingCases } from './locking.ts';
import { orderCases } from './order.ts';
import { pagingCases } from './paging.ts';
import { readingCases } from './reading.ts';
import { transactionsCases } from './transactions.ts';
import { writingCases } from './writing.ts';
import type { RepositoryCapability, RepositorySubject } from './support.ts';

export {
  type RepositoryCapability,
  type RepositorySubject,
  type Sample,
  sample,
  type VersionedSample,
} from './support.ts';

/** The rules of the repositories port. Each adapter is held to all of them. */
export const repositoriesConformance: ConformanceSuite<RepositorySubject, RepositoryCapability> = {
  port: 'repositories',
  cases: [
    ...readingCases,
    ...criteriaCases,
    ...orderCases,
    ...pagingCases,
    ...writingCases,
    ...lockingCases,
    ...transactionsCases,
    ...callsCases,
  ],
};
