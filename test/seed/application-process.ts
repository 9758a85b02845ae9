// An application with an infrastructure folder of two files: it uses both, with nothing but its environment, and ends by itself.

import { readItems } from '@directus/sdk';

import { getDirectusClient } from '../../examples/gazette/infrastructure/directus/client.ts';
import { uploadFile } from '../../examples/gazette/infrastructure/storage/files.ts';

const [, , what] = process.argv;

if (what === 'directus') {
  const [client, again] = await Promise.all([getDirectusClient(), getDirectusClient()]);
  const articles = await client.request(readItems('articles', { fields: ['slug', 'title'] }));
  process.stdout.write(JSON.stringify({ isOne: client === again, articles }));
  await client.close();
} else {
  process.stdout.write(await uploadFile(Buffer.from('hello'), 'press/kit.txt', 'text/plain'));
}
