import { beforeAll } from 'vitest';

import { queuePort } from './queue.ts';
import { makePgliteDump } from './pglite.ts';
import { registerPort } from './register.ts';

// Takes longer than a test should on a busy machine.
beforeAll(async () => void (await makePgliteDump()), 300_000);

registerPort(queuePort);
