import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { findInstallation, installFromNpm, type NpmPackages } from './npm-installation.ts';
import { answersHttp } from './processes.ts';

const packages: NpmPackages = {
  name: 'azurite',
  source: path.join(import.meta.dirname, 'azurite'),
  finish: async () => undefined,
};

const account = 'underpin';

/** Azure's blobs, by Azurite. Its address is `http://ACCOUNT:KEY@HOST:PORT`. What it holds is in memory, and goes when it is killed. */
export const azurite: ServerDefinition = {
  variable: 'AZURITE_URL',
  packages: [],
  answers: answersHttp,
  install: async () => void (await installFromNpm(packages)),
  async locate() {
    const folder = findInstallation(packages);
    if (folder === undefined) return undefined;
    const script = path.join(folder, 'node_modules/azurite/dist/src/blob/main.js');
    return existsSync(script) ? script : undefined;
  },

  async forApplication(address) {
    const { makeContainer } = await import('./containers.ts');
    const { options } = await makeContainer(address, 'underpin');
    return {
      STORAGE_URL: `azure://${options.container}`,
      AZURE_STORAGE_CONNECTION_STRING: options.connectionString,
    };
  },

  async prepare({ folder, binary, freePort, spawn }) {
    const port = await freePort();
    const key = randomBytes(64).toString('base64');
    const options = [
      '--blobHost=127.0.0.1',
      `--blobPort=${port}`,
      // A newer SDK asks for a newer protocol than it says that it knows.
      '--skipApiVersionCheck',
      '--inMemoryPersistence',
      '--disableTelemetry',
      '--silent',
    ];
    return {
      address: `http://${account}:${encodeURIComponent(key)}@127.0.0.1:${port}`,
      launch: () => {
        const env = { AZURITE_ACCOUNTS: `${account}:${key}` };
        spawn(process.execPath, [binary, ...options], { cwd: folder, env });
      },
      isReady: async () => await answersHttp(`http://127.0.0.1:${port}`),
    };
  },
};
