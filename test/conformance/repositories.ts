import type { ConformanceTarget } from '../../src/core/index.ts';
import type {
  RepositorySubject,
  Sample,
  VersionedSample,
} from '../../src/repositories/conformance.ts';
import { memoryRepository } from '../../src/repositories/memory.ts';

type Target = ConformanceTarget<RepositorySubject, 'transactions'>;

const memory: Target = {
  adapter: 'memory',
  capabilities: { transactions: false },
  create: async () => ({
    repository: memoryRepository<Sample>({ name: 'samples', unique: ['code'] }),
    versioned: memoryRepository<VersionedSample>({ name: 'versioned', version: 'version' }),
  }),
  dispose: async ({ repository, versioned }) => {
    await repository.close();
    await versioned.close();
  },
};

/** The adapters that are put to the suite of the repositories room. */
export const repositoryTargets: readonly Target[] = [memory];
