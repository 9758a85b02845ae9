// One of the processes of racing.e2e.test.ts. Does what each line of its input asks for, and answers whether it has won.
// Arguments: the folder, and the name that it writes.

import { createInterface } from 'node:readline';

import { InfrastructureError } from 'underpin/core';
import { diskStorage } from 'underpin/storage/disk';

const [directory = '', name = ''] = process.argv.slice(2);
const files = diskStorage({ directory });
await files.start();
console.log('ready');

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, key = '', detail = ''] = line.split(' ');
  try {
    if (kind === 'absent') await files.put(key, name, { ifNoneMatch: '*' });
    else if (kind === 'match') await files.put(key, name, { ifMatch: detail });
    else await files.resumeUpload(detail).complete();
    console.log('won');
  } catch (error) {
    const isLost =
      InfrastructureError.is(error, 'already-exists') ||
      InfrastructureError.is(error, 'failed-precondition');
    if (!isLost) throw error;
    console.log('lost');
  }
}
await files.close();
