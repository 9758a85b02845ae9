import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';

const { missing } = await service('mariadb');

/** What a process is in the midst of when it closes its databases, begun before or after the server's fault. */
const states: Readonly<Record<string, { readonly before?: string; readonly after?: string }>> = {
  nothing: {},
  'a statement': {
    before: 'void sql`select sleep(600)`.execute(database.query).catch(() => {});',
  },
  'a transaction': {
    before: `void database.transaction(async () => {
      await sql\`select 1\`.execute(database.query);
      await sql\`select sleep(600)\`.execute(database.query);
    }).catch(() => {});`,
  },
  'a stream': {
    before: `const rows = database.query.selectFrom(sql\`seq_1_to_10\`.as('n')).selectAll().stream(1);
    await rows.next();`,
  },
  'a start': {
    after: `const other = mysqlDatabase({ url: process.argv[1] });
    void other.start().catch(() => {});
    databases.push(other);`,
  },
};

const faults = {
  serves: async () => {},
  'is dead': async (server: PrivateServer) => await server.kill(),
  hangs: async (server: PrivateServer) => await server.pause(),
} as const;

/** A process that has not ended by then never will. */
const endsWithinMs = 60_000;

describe.skipIf(missing)('database mysql › shutdown', () => {
  let server: PrivateServer;

  beforeAll(async () => {
    server = await startServer('mariadb');
  });

  afterAll(async () => await server?.[Symbol.asyncDispose]());

  const cases = Object.entries(states).flatMap(([state, code]) =>
    Object.entries(faults).map(([fault, harm]) => ({ state, fault, harm, ...code })),
  );

  test.each(cases)(
    'in the midst of $state, of a server that $fault, a process that closes it ends by itself',
    async ({ before = '', after = '', harm }) => {
      const script = `
        import { once } from 'node:events';
        import { sql } from 'kysely';
        import { mysqlDatabase } from 'underpin/database/mysql';
        const database = mysqlDatabase({ url: process.argv[1] });
        const databases = [database];
        await database.start();
        ${before}
        console.log('ready');
        await once(process.stdin, 'data');
        ${after}
        process.stdin.destroy();
        for (const one of databases) await one.close();
        console.log('closed');`;
      const child = spawn(
        process.execPath,
        ['--conditions=underpin-source', '--input-type=module', '-e', script, server.url],
        { cwd: import.meta.dirname, stdio: 'pipe', timeout: endsWithinMs },
      );
      const complaints = text(child.stderr);
      const ended = once(child, 'exit');
      const lines: string[] = [];
      const output = createInterface(child.stdout).on('line', (line) => lines.push(line));
      await Promise.race([once(output, 'line'), ended]);
      await harm(server);
      child.stdin.write('close\n');
      expect({ ended: await ended, lines, complaints: await complaints }).toEqual({
        ended: [0, null],
        lines: ['ready', 'closed'],
        complaints: '',
      });
      await server.resume().catch(() => {});
      await server.restart();
    },
  );
});
