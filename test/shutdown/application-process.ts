// An application on the components that its environment names: it starts them, uses each, says `ready`, and stops them when its standard
// input ends. Nothing here ends the process: it ends by itself once no component keeps it, which is what is tested.

import { once } from 'node:events';

import { readMe } from '@directus/sdk';
import { infrastructureFromEnv } from 'underpin';
import { defineJob, type Worker } from 'underpin/queue';
import { z } from 'zod';

const job = defineJob({ name: 'shutdown', payload: z.object({}) });

const infrastructure = infrastructureFromEnv<unknown, { readonly worker: Worker }>(({ queue }) => ({
  worker: queue.worker([job.handle(async () => {})]),
}));
const app = await infrastructure.start();

await app.database.transaction(async () => await app.queue.enqueue(job, {}));
await app.files.put('shutdown.txt', 'here');
await app.cache.set('shutdown', 'here');
await app.mail.send({
  from: 'app@senders.example',
  to: 'ada@readers.example',
  subject: 'Shutdown',
  text: 'Here.',
});
await app.directus?.request(readMe());
process.stdout.write('ready\n');

process.stdin.resume();
await once(process.stdin, 'end');
await app.stop({ deadline: '3s' }).catch((error: unknown) => {
  // A dead engine may be complained of; the process must end all the same.
  process.stderr.write(`${String(error)}\n`);
});
process.stdout.write('stopped\n');
