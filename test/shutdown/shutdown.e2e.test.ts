import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { definitionOf, type ServerName } from '../services/definitions.ts';
import { type PrivateServer, startServer } from '../services/servers.ts';
import { service } from '../services/services.ts';

/** Each set of adapters: the server that is hurt, and the variables of its application environment that are used. */
const sets: readonly (readonly [ServerName, readonly string[]])[] = [
  ['postgres', ['DATABASE_URL']],
  ['mariadb', ['DATABASE_URL']],
  ['redis', ['CACHE_URL']],
  ['redis', ['QUEUE_URL']],
  ['directus', ['DIRECTUS_URL', 'DIRECTUS_EMAIL', 'DIRECTUS_PASSWORD']],
  ['s3', ['STORAGE_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']],
  ['azurite', ['STORAGE_URL', 'AZURE_STORAGE_CONNECTION_STRING']],
  ['smtp', ['MAIL_URL', 'NODE_EXTRA_CA_CERTS']],
];

/** What an application on such a server needs elsewhere. */
const others: Partial<Record<ServerName, Record<string, string>>> = {
  mariadb: { QUEUE_URL: 'memory:' },
};

/** An application that has not ended by then never will. Its own deadline is three seconds. */
const endsWithinMs = 60_000;

// Dead comes last, so that nobody waits for one to start again.
const faults = {
  'while it serves': async () => {},
  'when it hangs': async (server: PrivateServer) => await server.pause(),
  'when it is dead': async (server: PrivateServer) => await server.kill(),
} as const;

describe.each(sets)('shutdown › %s as %j', async (name, variables) => {
  const { missing } = await service(name);

  describe.skipIf(missing)('an application ends by itself', () => {
    let folder: string;
    let server: PrivateServer;
    let env: Record<string, string>;

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'underpin-shutdown-'));
      server = await startServer(name);
      const whole = await definitionOf(name).forApplication(server.url);
      env = Object.fromEntries(Object.entries(whole).filter(([key]) => variables.includes(key)));
    });

    // Also after a failure, which is then the only one.
    beforeEach(async () => await server.heal());

    afterAll(async () => {
      await server?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    test.each(Object.entries(faults))('%s', async (_, fault) => {
      const script = path.join(import.meta.dirname, 'application-process.ts');
      expect(Object.keys(env)).toHaveLength(variables.length);
      const child = spawn(process.execPath, ['--conditions=underpin-source', script], {
        env: {
          PATH: process.env['PATH'],
          NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
          DATA_DIR: folder,
          LOG_LEVEL: 'silent',
          ...others[name],
          ...env,
        },
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: endsWithinMs,
      });
      const complaints = text(child.stderr);
      const ended = once(child, 'exit');
      const [first] = await Promise.race([once(child.stdout, 'data'), ended]);
      expect(`${String(first)}${String(first) === 'ready\n' ? '' : await complaints}`).toBe(
        'ready\n',
      );
      await fault(server);
      child.stdin.end();
      expect({ ended: await ended, complaints: await complaints }).toMatchObject({
        ended: [0, null],
      });
    });
  });
});
