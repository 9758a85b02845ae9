import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { type PrivateServer, startServer } from '../../services/servers.ts';
import { type ServerTarget, targets } from './targets.ts';

/** What a process is in the midst of when it closes its databases, begun before or after the server's fault. */
const statesOn = ({
  engine,
  sleep,
  numbers,
}: ServerTarget): Readonly<
  Record<string, { readonly before?: string; readonly after?: string }>
> => ({
  nothing: {},
  'a statement': {
    before: `void sql\`select ${sleep(600)}\`.execute(database.query).catch(() => {});`,
  },
  'a transaction': {
    before: `void database.transaction(async () => {
      await sql\`select 1\`.execute(database.query);
      await sql\`select ${sleep(600)}\`.execute(database.query);
    }).catch(() => {});`,
  },
  'a stream': {
    before: `const rows = database.query.selectFrom(sql\`${numbers(10)}\`.as('n')).selectAll().stream(1);
    await rows.next();`,
  },
  // No other server notifies.
  ...(engine === 'postgres' && {
    listening: { before: `database.listen('news', () => {});` },
  }),
  'a start': {
    after: `const other = ${engine}Database({ url: process.argv[1] });
    void other.start().catch(() => {});
    databases.push(other);`,
  },
});

const faults = {
  serves: async () => {},
  hangs: async (server: PrivateServer) => await server.pause(),
  'is dead': async (server: PrivateServer) => await server.kill(),
} as const;

/** A process that has not ended by then never will. */
const endsWithinMs = 60_000;

for (const target of targets)
  describe.skipIf(target.missing)(`database ${target.engine} › shutdown`, () => {
    let server: PrivateServer;

    beforeAll(async () => {
      server = await startServer(target.server);
    });

    // Also after a failure, which is then the only one.
    beforeEach(async () => await server.heal());

    afterAll(async () => await server?.[Symbol.asyncDispose]());

    const cases = Object.entries(statesOn(target)).flatMap(([state, code]) =>
      Object.entries(faults).map(([fault, harm]) => ({ state, fault, harm, ...code })),
    );

    test.each(cases)(
      'in the midst of $state, of a server that $fault, a process that closes it ends by itself',
      async ({ before = '', after = '', harm }) => {
        const script = `
        import { once } from 'node:events';
        import { sql } from 'kysely';
        import { ${target.engine}Database } from 'underpin/database/${target.engine}';
        const database = ${target.engine}Database({ url: process.argv[1] });
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
      },
    );
  });
