import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { openSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import type { PreparedServer, ServerDefinition, ServerSite, SpawnOptions } from './definition.ts';
import { freePort, isRoot, isRunning, signalTrees } from './processes.ts';

/** How long a server may take until it serves. Directus is slow on a busy machine. */
const STARTUP_MS = 120_000;

/** Those that `launch` spawned last, and those that `prepare` spawned. */
interface Processes {
  readonly launched: ChildProcess[];
  readonly supporting: ChildProcess[];
}

/** A running server in a folder of its own. It lives as long as this process: see `keeper-process.ts`. */
export class Instance {
  readonly address: string;
  readonly #server: PreparedServer;
  readonly #processes: Processes;

  private constructor(server: PreparedServer, processes: Processes) {
    this.address = server.address;
    this.#server = server;
    this.#processes = processes;
  }

  static async start(definition: ServerDefinition, folder: string): Promise<Instance> {
    const processes: Processes = { launched: [], supporting: [] };
    process.on('exit', () => {
      const all = [...processes.launched, ...processes.supporting];
      // A stopped process that is killed is gone at once; one that is terminated would wait to go on.
      signalTrees(pidsOf(all), 'SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
    });
    const binary = await definition.locate();
    if (binary === undefined) throw new Error('it is not installed');
    const server = await definition.prepare(siteOf(folder, binary, processes.supporting));
    // What is spawned from here on is what `launch` spawns: see `#launch`.
    const instance = new Instance(server, processes);
    await instance.#launch();
    await server.finish?.();
    return instance;
  }

  /** Ends its processes as a crash of its machine would, if they run. */
  async kill(): Promise<void> {
    const killed = signalTrees(pidsOf(this.#processes.launched), 'SIGKILL');
    // One of its children that still ended would keep what its next start needs.
    while (killed.some(isRunning)) await sleep(5);
  }

  /** Stops its processes where they are: connections stay open, and nothing answers. */
  pause(): void {
    signalTrees(pidsOf(this.#processes.launched), 'SIGSTOP');
  }

  /** Lets them go on. */
  resume(): void {
    signalTrees(pidsOf(this.#processes.launched), 'SIGCONT');
  }

  /** Starts it again, on the same address and with its data, after ending it when it runs. Resolves when it serves. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#launch();
  }

  async #launch(): Promise<void> {
    this.#processes.launched.length = 0;
    const { supporting, launched } = this.#processes;
    const before = supporting.length;
    await this.#server.launch();
    launched.push(...supporting.splice(before));
    const deadline = Date.now() + STARTUP_MS;
    while (!(await this.#server.isReady())) {
      const ended = launched.find(({ exitCode, signalCode }) => exitCode !== null || signalCode);
      if (ended) {
        const how = ended.exitCode ?? ended.signalCode;
        throw new Error(`${ended.spawnfile} ended with ${how} before it served`);
      }
      if (Date.now() > deadline) throw new Error(`no answer within ${STARTUP_MS / 1000} s`);
      await sleep(25);
    }
  }
}

function pidsOf(processes: readonly ChildProcess[]): number[] {
  return processes.flatMap(({ pid, exitCode, signalCode }) =>
    pid === undefined || exitCode !== null || signalCode !== null ? [] : [pid],
  );
}

function siteOf(folder: string, binary: string, spawned: ChildProcess[]): ServerSite {
  return {
    folder,
    binary,
    freePort,
    spawn(command, args, options) {
      const log = openSync(path.join(folder, `${path.basename(command)}.log`), 'a');
      const child = spawn(command, args, {
        ...settings(options),
        // A group of its own: a Ctrl+C in the terminal is for whoever started the instance.
        detached: true,
        stdio: ['ignore', log, log],
      });
      child.on('error', () => {});
      if (child.pid === undefined) throw new Error(`${command} cannot be started`);
      spawned.push(child);
      return child;
    },
    async run(command, args, options) {
      const { stdout } = await promisify(execFile)(command, args, {
        ...settings(options),
        timeout: 120_000,
        maxBuffer: 16 * 1024 * 1024,
      });
      return stdout;
    },
  };
}

function settings({ env, user, cwd }: SpawnOptions = {}): {
  env: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
} {
  return {
    // Servers and their tools lie in folders that are not on everybody's PATH.
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, ...env },
    ...(cwd !== undefined && { cwd }),
    ...(user !== undefined && isRoot() && { uid: idOf('-u', user), gid: idOf('-g', user) }),
  };
}

/** The number of a user, or of its group. */
function idOf(flag: '-u' | '-g', user: string): number {
  return Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
}
