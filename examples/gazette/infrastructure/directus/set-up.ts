// Makes the newspaper's collections in the Directus that the environment names, once: see the README.

import { createCollections } from './collections.ts';
import { getDirectusClient } from './client.ts';

const client = await getDirectusClient();
const isNew = await createCollections(client);
await client.close();
process.stdout.write(
  isNew ? 'The collection "articles" was made.\n' : 'The collection "articles" is there.\n',
);
