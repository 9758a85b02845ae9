import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { postgresDatabase } from '../../src/database/postgres/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { makePostgresDatabase } from '../services/databases.ts';
import { type PrivateServer, startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';
import { atomicJob, plainJob } from './jobs.ts';

const { missing } = await service('postgres');

const faults = {
  serves: async () => undefined,
  'is dead': async (server: PrivateServer) => await server.kill(),
  hangs: async (server: PrivateServer) => await server.pause(),
} as const;

/** A process that has not ended by then never will, in milliseconds. */
const patience = 120_000;

describe.skipIf(missing)('sqlQueue › a process that closes its worker ends by itself', () => {
  let server: PrivateServer;

  beforeAll(async () => {
    server = await startServer('postgres');
  });

  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const cases = Object.entries(faults).flatMap(([fault, harm]) =>
    [0, 2].map((jobs) => ({ fault, harm, jobs })),
  );

  it.each(cases)('with $jobs jobs under way and a server that $fault', async ({ harm, jobs }) => {
    const { url, remove } = await makePostgresDatabase(server.url);
    {
      await using database = postgresDatabase({ url });
      await using queue = sqlQueue({ database });
      await queue.start();
      if (jobs > 0) {
        await queue.enqueue(atomicJob, { number: 1 });
        await queue.enqueue(plainJob, { number: 1 });
      }
    }
    const script = path.join(import.meta.dirname, 'shutdown-process.ts');
    const args = ['--conditions=underpin-source', script, url, String(jobs)];
    const child = spawn(process.execPath, args, { stdio: 'pipe', timeout: patience });
    const complaints = text(child.stderr);
    const exit = once(child, 'exit');
    const lines: string[] = [];
    const reading = createInterface({ input: child.stdout });
    reading.on('line', (line) => lines.push(line));
    await once(reading, 'line');
    await harm(server);
    child.stdin.end('close\n');
    const ended = await exit;
    await server.heal();
    await remove();
    expect({ ended, last: lines.at(-1), complaints: await complaints }).toEqual({
      ended: [0, null],
      last: 'closed',
      complaints: '',
    });
  });
});
