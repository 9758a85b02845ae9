// Runs one instance of a server in a folder: `node keeper-process.ts NAME FOLDER OWNER_PID`. Writes `address` into the folder when it
// serves, or `failed` with the reason, and obeys what comes over the Unix socket `control`: `kill`, `pause`, `resume`, `restart` or `end`, one
// a connection. Ends, and removes the folder, when the owner's process has ended, however that ended: so no crash of a test run
// leaves a server behind.

import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

import { definitionOf, isServerName } from './definitions.ts';
import { Instance } from './instance.ts';
import { isRunning } from './processes.ts';

const [, , name = '', folder = '', owner = ''] = process.argv;

setInterval(() => {
  if (!isRunning(Number(owner))) process.exit();
}, 500);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  process.on(signal, () => process.exit());

try {
  if (!isServerName(name)) throw new Error(`${name} is no server`);
  const instance = await Instance.start(definitionOf(name), folder);
  await obey(instance);
  publish('address', instance.address);
} catch (error) {
  publish('failed', error instanceof Error ? (error.stack ?? error.message) : String(error));
}

async function obey(instance: Instance): Promise<void> {
  const commands: Readonly<Record<string, () => Promise<void> | void>> = {
    kill: async () => await instance.kill(),
    pause: () => instance.pause(),
    resume: () => instance.resume(),
    restart: async () => await instance.restart(),
    end: () => process.exit(),
  };
  const answer = async (command: string): Promise<string> => {
    try {
      await commands[command]?.();
      return 'done';
    } catch (error) {
      return String(error);
    }
  };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (data) => void answer(String(data)).then((text) => socket.end(text)));
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(path.join(folder, 'control'), resolve);
  await promise;
}

/** Whoever sees the file sees all of it. */
function publish(file: string, text: string): void {
  writeFileSync(path.join(folder, `${file}.new`), text);
  renameSync(path.join(folder, `${file}.new`), path.join(folder, file));
}
