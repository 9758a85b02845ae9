import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { exchange, firstThatRuns, isRoot, onPath } from './processes.ts';

/** MariaDB. Its user may do anything, and its database is `underpin`. */
export const mariadb: ServerDefinition = {
  variable: 'MARIADB_URL',
  packages: ['mariadb-server'],
  answers: async (address) => await exchange(address),
  locate: async () =>
    await firstThatRuns(onPath(['mariadbd'], '/usr/sbin', '/usr/local/sbin'), [
      '--no-defaults',
      '--version',
    ]),
  forApplication: async (address) => ({ DATABASE_URL: address }),

  async prepare({ folder, binary, freePort, spawn, run }) {
    const port = await freePort();
    const password = randomBytes(12).toString('hex');
    const data = path.join(folder, 'data');
    const user = isRoot() ? ['--user=root'] : [];
    await run('mariadb-install-db', [
      '--no-defaults',
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      `--datadir=${data}`,
      ...user,
    ]);
    const start = path.join(folder, 'start.sql');
    writeFileSync(
      start,
      [
        `create user if not exists underpin@'%' identified by '${password}';`,
        `grant all on *.* to underpin@'%' with grant option;`,
        `alter user root@localhost identified by '${password}';`,
        'create database if not exists underpin character set utf8mb4;',
      ].join('\n'),
    );
    // For a test of its own, which has made a certificate.
    const tls = process.env['MARIADB_TLS_FOLDER'];
    const encrypted = tls ? [`--ssl-cert=${tls}/certificate.pem`, `--ssl-key=${tls}/key.pem`] : [];
    const address = `mysql://underpin:${password}@127.0.0.1:${port}/underpin`;
    return {
      address,
      launch() {
        const at = ['--bind-address=127.0.0.1', `--port=${port}`, `--socket=${folder}/socket`];
        const files = [`--datadir=${data}`, `--init-file=${start}`];
        // What a killed process has written, the machine still has.
        const unsafe = ['--innodb-flush-log-at-trx-commit=2'];
        spawn(binary, ['--no-defaults', ...at, ...files, ...unsafe, ...encrypted, ...user]);
      },
      // Its greeting names the way in which passwords are checked.
      isReady: async () => await exchange(address, '', 'native_password'),
    };
  },
};
