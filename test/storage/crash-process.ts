// The process that crash.e2e.test.ts kills: writes to a folder from several loops at once, and says on its output what it has begun
// and what was confirmed. Arguments: the folder, and a seed.

import { writeSync } from 'node:fs';

import { InfrastructureError } from 'underpin/core';
import { diskStorage } from 'underpin/storage/disk';

import { Random } from '../database/random.ts';
import { contentOf, ownKeys, sharedKeys } from './crash-content.ts';

const [directory = '', seed = ''] = process.argv.slice(2);
const files = diskStorage({ directory });
const random = new Random(Number(seed));
const partSize = 5 * 2 ** 20;
let last = 0;

function say(line: string): void {
  // At once, so that nothing is said to be begun or confirmed that the process did not get to.
  writeSync(1, `${line}\n`);
}

async function put(key: string): Promise<string> {
  last += 1;
  const id = `${seed}-${String(last).padStart(6, '0')}`;
  const content = contentOf(id, random.oneOf([0, 900, 70_000, 700_000]));
  say(`begun ${key} ${id}`);
  const body = random.oneOf([content, new Blob([content]).stream()]);
  await files.put(key, body, { metadata: { id }, contentType: `text/x-${id}` });
  say(`done ${key} ${id}`);
  return id;
}

// Keys that one loop alone writes: what was confirmed must be there.
async function writeOwn(key: string): Promise<never> {
  for (;;) await put(key);
}

async function upload(key: string): Promise<void> {
  last += 1;
  const id = `${seed}-${String(last).padStart(6, '0')}`;
  const content = contentOf(id, random.oneOf([10, partSize + 10]));
  const started = await files.createUpload(key, {
    partSize,
    metadata: { id },
    contentType: `text/x-${id}`,
  });
  for (let part = 0; part * partSize < content.byteLength; part += 1)
    await started.putPart(part + 1, content.subarray(part * partSize, (part + 1) * partSize));
  await started.complete();
}

// Keys that all loops fight over: what is there must be whole.
async function writeShared(): Promise<never> {
  for (;;) {
    const [from, to] = [random.oneOf(sharedKeys), random.oneOf(sharedKeys)];
    const condition = random.oneOf([{}, {}, { ifNoneMatch: '*' as const }]);
    const step = random.oneOf([
      async () => await put(to),
      async () => await files.copy(from, to, condition),
      async () => await files.move(from, to, condition),
      async () => await files.delete(to),
      async () => await upload(to),
    ]);
    try {
      await step();
    } catch (error) {
      // Nothing to copy, or a condition that does not hold; anything else ends the process, and with it the test.
      if (!InfrastructureError.is(error)) throw error;
      if (!['not-found', 'already-exists', 'invalid-argument'].includes(error.code)) throw error;
    }
  }
}

await files.start();
await Promise.all([...ownKeys.map(writeOwn), writeShared(), writeShared()]);
