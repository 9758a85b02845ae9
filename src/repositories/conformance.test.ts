import { describe, it } from 'vitest';

import { repositoryTargets } from '../../test/conformance/repositories.ts';
import { registerConformance } from '../core/index.ts';
import { repositoriesConformance } from './conformance.ts';

for (const target of repositoryTargets)
  registerConformance(repositoriesConformance, target, { describe, it });
