import type { ConformanceSuite } from '../../core/index.ts';
import type { StorageCapabilities } from '../driver.ts';
import type { FileStorage } from '../storage.ts';
import { putCases } from './put.ts';
import { typesCases } from './facts.ts';
import { getCases } from './get.ts';
import { removeCases } from './delete.ts';
import { transferCases } from './copy-and-move.ts';
import { conditionsCases } from './conditions.ts';
import { listCases } from './list.ts';
import { keysCases } from './keys.ts';
import { lifeCases } from './lifecycle.ts';
import { rolesCases } from './roles.ts';
import { signedUrlsCases } from './signed-urls.ts';
import { uploadsCases } from './uploads.ts';

/** The rules of the storage port. Each adapter is held to all of them. */
export const storageConformance: ConformanceSuite<FileStorage, keyof StorageCapabilities> = {
  port: 'storage',
  cases: [
    ...putCases,
    ...typesCases,
    ...getCases,
    ...removeCases,
    ...transferCases,
    ...conditionsCases,
    ...listCases,
    ...keysCases,
    ...lifeCases,
    ...uploadsCases,
    ...signedUrlsCases,
    ...rolesCases,
  ],
};
