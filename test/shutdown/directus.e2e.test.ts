import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { directusAdministrator, makeCollection } from '../services/collections.ts';
import { definitionOf } from '../services/definitions.ts';
import { type PrivateServer, startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';

/** An application that uses Directus, and closes it once its standard input ends. Nothing in it ends the process. */
const application = `
  import { once } from 'node:events';
  import { infrastructureFromEnv } from 'underpin';
  import { directusRepository } from 'underpin/repositories/directus';

  const app = await infrastructureFromEnv(({ directus }) => ({
    letters: directusRepository({ client: directus, collection: 'letters', columns: { id: 'text' } }),
  })).start();
  await app.letters.insert({ id: crypto.randomUUID() });
  console.log('ready');
  process.stdin.resume();
  await once(process.stdin, 'end');
  await app.stop({ deadline: '3s' });
  console.log('stopped');`;

const faults: Readonly<Record<string, (server: PrivateServer) => Promise<void>>> = {
  'while it serves': async () => {},
  'when it is dead': async (server) => await server.kill(),
  'when it hangs': async (server) => await server.pause(),
};

const { missing } = await service('directus');

describe.skipIf(missing)('shutdown › a process that closes Directus ends by itself', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startServer('directus');
    const id = { field: 'id', type: 'string', schema: { is_primary_key: true } };
    await makeCollection(await directusAdministrator(server.url), [id], 'letters');
  });
  afterEach(async () => {
    await server.resume();
    await server.restart();
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test.each(Object.entries(faults))('%s', async (_, fault) => {
    const child = spawn(
      process.execPath,
      ['--conditions=underpin-source', '--input-type=module', '-e', application],
      {
        cwd: import.meta.dirname,
        env: {
          PATH: process.env['PATH'],
          DATABASE_URL: 'sqlite::memory:',
          STORAGE_URL: 'memory:',
          MAIL_URL: 'memory:',
          PUSH_URL: 'memory:',
          LOG_LEVEL: 'silent',
          ...(await definitionOf('directus').forApplication(server.url)),
        },
        timeout: 60_000,
      },
    );
    const [output, complaints] = [text(child.stdout), text(child.stderr)];
    const ended = once(child, 'exit');
    await Promise.race([once(child.stdout, 'data'), ended]);
    await fault(server);
    child.stdin.end();
    expect({ ended: await ended, output: await output, complaints: await complaints }).toEqual({
      ended: [0, null],
      output: 'ready\nstopped\n',
      complaints: '',
    });
  });
});
