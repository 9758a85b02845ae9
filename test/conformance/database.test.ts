import { beforeAll } from 'vitest';

import { databasePort } from './database.ts';
import { pgliteDump } from '../services/pglite.ts';
import { registerPort } from './register.ts';

// Takes longer than a test should on a busy machine.
beforeAll(async () => void (await pgliteDump()), 300_000);

registerPort(databasePort);
