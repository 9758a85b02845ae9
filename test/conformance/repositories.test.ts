import { beforeAll } from 'vitest';

import { repositoriesPort } from './repositories.ts';
import { pgliteDump } from '../services/pglite.ts';
import { registerPort } from './register.ts';

// Takes longer than a test should on a busy machine.
beforeAll(async () => void (await pgliteDump()), 300_000);

registerPort(repositoriesPort);
