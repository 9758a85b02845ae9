// A process with a worker that is at rest, or in the midst of jobs: `shutdown-process.ts DATABASE JOBS`. Says `ready`, and
// when a line comes in, closes everything and must end by itself.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { sqlQueue } from '../../src/queue/sql/index.ts';
import { atomicJob, openDatabase, plainJob } from './jobs.ts';

const [target = '', jobs = ''] = process.argv.slice(2);
const database = openDatabase(target);
const queue = sqlQueue({ database });
const rest = async (_: unknown, { signal }: { readonly signal: AbortSignal }): Promise<void> => {
  await once(signal, 'abort');
  signal.throwIfAborted();
};
const worker = queue.worker([atomicJob.handle(rest, { atomic: true }), plainJob.handle(rest)]);
await worker.start();
while ((await queue.counts()).active < Number(jobs)) await delay(20);
process.stdout.write('ready\n');
await once(process.stdin, 'data');
process.stdin.destroy();
for (const one of [worker, queue, database]) {
  try {
    await one.close();
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
  }
}
process.stdout.write('closed\n');
