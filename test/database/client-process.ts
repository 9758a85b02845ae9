// Transfers by several callers at once, until it is killed: `node client-process.ts URL SEED`. Says the id of each that succeeded, a
// line each.

import { writeSync } from 'node:fs';

import { InfrastructureError } from '../../src/core/index.ts';
import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { type Tables, Transfers } from './transfers.ts';

const [, , url = '', seed = ''] = process.argv;
const database = postgresDatabase<Tables>({ url, poolSize: 6, applicationName: 'killed' });

async function call(caller: number): Promise<never> {
  const transfers = new Transfers(database, Number(seed) + caller);
  for (;;) {
    const { transfer, run } = transfers.next();
    try {
      await run();
      // At once, for the next moment may be the last.
      writeSync(1, `${transfer.id}\n`);
    } catch (error) {
      if (!InfrastructureError.is(error)) throw error;
    }
  }
}

await Promise.all(Array.from({ length: 8 }, async (_, caller) => await call(caller)));
