import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import {
  administrator,
  DirectusInstallation,
  findDirectus,
  installDirectus,
  quietly,
} from './directus/installation.ts';
import { answersHttp } from './processes.ts';

/**
 * Directus on SQLite. Its address holds the email and the password of an administrator. The variable is not that of
 * applications: tests make and remove collections, and must never do so in somebody's own Directus.
 */
export const directus: ServerDefinition = {
  variable: 'DIRECTUS_TEST_URL',
  packages: ['python3', 'make', 'g++'],
  install: async () => void (await installDirectus()),
  answers: async (address) => await answersHttp(new URL('/server/ping', address).href),
  locate: async () => findDirectus()?.folder,
  forApplication: async (address) => {
    const { origin, username, password } = new URL(address);
    return {
      DIRECTUS_URL: origin,
      DIRECTUS_EMAIL: decodeURIComponent(username),
      DIRECTUS_PASSWORD: decodeURIComponent(password),
    };
  },

  async prepare({ folder, binary, freePort, spawn }) {
    const installation = new DirectusInstallation(binary);
    const port = await freePort();
    const database = path.join(folder, 'directus.db');
    const uploads = path.join(folder, 'uploads');
    copyFileSync(installation.database, database);
    mkdirSync(uploads);
    const origin = `http://127.0.0.1:${port}`;
    const address = new URL(origin);
    address.username = encodeURIComponent(administrator);
    address.password = readFileSync(installation.passwordFile, 'utf8');
    return {
      address: address.href,
      launch() {
        spawn(installation.node, [installation.cli, 'start'], {
          cwd: folder,
          env: {
            ...quietly,
            HOST: '127.0.0.1',
            PORT: String(port),
            PUBLIC_URL: origin,
            DB_CLIENT: 'sqlite3',
            DB_FILENAME: database,
            STORAGE_LOCAL_ROOT: uploads,
            // A restart must know the tokens that it gave out before.
            SECRET: 'the same after each restart, and at least 32 characters',
            MAX_PAYLOAD_SIZE: '16mb',
            // Else it refuses requests while the machine is busy.
            PRESSURE_LIMITER_ENABLED: 'false',
          },
        });
      },
      isReady: async () => await answersHttp(`${origin}/server/ping`),
    };
  },
};
