// A worker in a process of its own, which the crash test kills: `worker-process.ts DATABASE LEASE`. Tells of each start of a
// handler in a line, and ends when nothing is left to do.
import { setTimeout as delay } from 'node:timers/promises';

import type { JobContext } from '../../src/queue/index.ts';
import { sqlQueue } from '../../src/queue/sql/index.ts';
import { atomicJob, openDatabase, plainJob } from './jobs.ts';

const [target = '', lease = ''] = process.argv.slice(2);

await using database = openDatabase(target);
await using queue = sqlQueue({ database });

async function work(kind: string, number: number, { attempt }: JobContext): Promise<void> {
  process.stdout.write(`${kind} ${number}\n`);
  // Long enough for the killer to find it half done: once before its row is written, once after.
  await delay(1);
  await database.query.insertInto('effect').values({ kind, number, attempt }).execute();
  await delay(1);
}

const handlers = [
  atomicJob.handle(async ({ number }, context) => await work('atomic', number, context), {
    atomic: true,
  }),
  plainJob.handle(async ({ number }, context) => await work('plain', number, context)),
];
await using worker = queue.worker(handlers, {
  concurrency: 8,
  prefetch: 4,
  lease: Number(lease),
  pollInterval: '20ms',
});
await worker.start();
for (;;) {
  const { waiting, active } = await queue.counts();
  if (waiting + active === 0) break;
  await delay(10);
}
