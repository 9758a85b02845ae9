import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { definitionOf, type ServerName } from './definitions.ts';
import { identityOf } from './processes.ts';
import { service, whatInstalls } from './services.ts';

/** Servers that do not run as root reach what is theirs in it, and nobody lists it. */
const FOLDER_MODE = 0o711;

/** A server that tests share. Whoever uses it keeps to a database, bucket, prefix or collection of its own. */
export interface SharedServer {
  /** Its URL, with the credentials of whoever may do anything on it. */
  readonly url: string;
}

/** A server of one test's own, which that test may hurt. */
export interface PrivateServer extends SharedServer, AsyncDisposable {
  /** Ends it as a crash would. Its connections break. */
  kill(): Promise<void>;
  /** Stops it where it is: connections stay open, and nothing answers. */
  pause(): Promise<void>;
  /** Lets it go on after `pause`. */
  resume(): Promise<void>;
  /** Starts it again with its data and on its URL, after a `kill` or in place of one. Resolves when it serves. */
  restart(): Promise<void>;
  /** Undoes what it suffered: `restart` after a `kill`, `resume` after a `pause`, and nothing when it serves. */
  heal(): Promise<void>;
}

/** How a {@link PrivateServer} differs from the shared one. */
export interface PrivateServerOptions {
  /** Settings for a server that takes them from its environment. Those that its definition gives go before these. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The server of the service's variable, or else an instance that all test files of one run share and that ends with the run. Call
 * it only when `service(name)` is not missing.
 */
export async function sharedServer(name: ServerName): Promise<SharedServer> {
  const { variable } = definitionOf(name);
  const given = process.env[variable];
  if (given) {
    const { address } = await service(name);
    return { url: address };
  }
  // vitest's test files run in child processes of the one that all of them share.
  const owner = process.env['VITEST'] === undefined ? process.pid : process.ppid;
  const folder = path.join(tmpdir(), `underpin-${name}-${identityOf(owner)}`);
  if (makeFolder(folder)) keep(name, folder, owner);
  return { url: await addressIn(name, folder) };
}

/** Starts an instance for the caller alone. It ends with `await using`, and with this process at the latest. */
export async function startServer(
  name: ServerName,
  { env = {} }: PrivateServerOptions = {},
): Promise<PrivateServer> {
  if ((await definitionOf(name).locate()) === undefined)
    throw new Error(`a ${name} of its own cannot be started: ${whatInstalls(name)}`);
  const folder = mkdtempSync(path.join(tmpdir(), `underpin-${name}-`));
  chmodSync(folder, FOLDER_MODE);
  const keeper = keep(name, folder, process.pid, env);
  const url = await addressIn(name, folder);
  const obey = async (command: string): Promise<void> => {
    const socket = connect(path.join(folder, 'control')).end(command);
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    if (answer !== 'done') throw new Error(`${name} does not ${command}: ${answer}`);
  };
  let remedy: 'restart' | 'resume' | undefined;
  const server: PrivateServer = {
    url,
    async kill() {
      remedy = 'restart';
      await obey('kill');
    },
    async pause() {
      remedy ??= 'resume';
      await obey('pause');
    },
    async resume() {
      await obey('resume');
      if (remedy === 'resume') remedy = undefined;
    },
    async restart() {
      await obey('restart');
      remedy = undefined;
    },
    async heal() {
      if (remedy !== undefined) await server[remedy]();
    },
    async [Symbol.asyncDispose]() {
      if (keeper.exitCode !== null || keeper.signalCode !== null) return;
      keeper.ref();
      const ended = once(keeper, 'exit');
      keeper.kill();
      await ended;
    },
  };
  return server;
}

function keep(
  name: ServerName,
  folder: string,
  owner: number,
  env: Readonly<Record<string, string>> = {},
): ReturnType<typeof spawn> {
  const script = path.join(import.meta.dirname, 'keeper-process.ts');
  const keeper = spawn(process.execPath, [script, name, folder, String(owner)], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, ...env },
  });
  keeper.unref();
  return keeper;
}

async function addressIn(name: ServerName, folder: string): Promise<string> {
  for (let attempt = 0; attempt < 9600; attempt += 1) {
    const answer = path.join(folder, 'address');
    if (existsSync(answer)) return readFileSync(answer, 'utf8');
    const failure = path.join(folder, 'failed');
    if (existsSync(failure)) {
      const reason = readFileSync(failure, 'utf8');
      throw new Error(`${name} does not start (its logs are in ${folder}): ${reason}`);
    }
    await sleep(25);
  }
  rmSync(folder, { recursive: true, force: true });
  throw new Error(`${name} does not start: nothing came of it within four minutes`);
}

/** Whether it is this process that made it. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: FOLDER_MODE });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
