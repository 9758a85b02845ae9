// A worker in a process of its own, which the crash test kills: `redis-worker-process.ts URL LEASE`. Tells of each start of a
// handler in a line, and ends when nothing is left to do. What the handlers did is a list in the same Redis.
import { setTimeout as delay } from 'node:timers/promises';

import { redisQueue } from '../../src/queue/redis/index.ts';
import { plainJob } from './jobs.ts';

const [url = '', lease = ''] = process.argv.slice(2);
const prefix = new URL(url).searchParams.get('prefix') ?? '';

await using queue = redisQueue({ url });
await using worker = queue.worker(
  [
    plainJob.handle(async ({ number }, { attempt }) => {
      process.stdout.write(`${number}\n`);
      // Long enough for the killer to find it half done: once before its effect, once after.
      await delay(1);
      await queue.native?.sendCommand(['RPUSH', `${prefix}:effects`, `${number} ${attempt}`]);
      await delay(1);
    }),
  ],
  { concurrency: 8, prefetch: 4, lease: Number(lease), pollInterval: '20ms' },
);
await worker.start();
for (;;) {
  const { waiting, active } = await queue.counts();
  if (waiting + active === 0) break;
  await delay(10);
}
