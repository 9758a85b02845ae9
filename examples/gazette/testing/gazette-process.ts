import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../web/main.ts', import.meta.url));

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real application, in a process of its own, on a port that is free. */
export class GazetteProcess {
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  /** `env` is added to what the application needs; it sees no other variables. */
  constructor(env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, ['--conditions=underpin-source', main], {
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
        PORT: '0',
        LOG_LEVEL: 'warn',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.exit = once(this.#child, 'close').then(() => ({
      code: this.#child.exitCode,
      signal: this.#child.signalCode,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Resolves with the address, once it is printed. Rejects when the process ends before. */
  async url(): Promise<string> {
    return await this.#printed(/The Gazette is out: (\S+)/);
  }

  /** Resolves once a worker says that it works. Rejects when the process ends before. */
  async atWork(): Promise<void> {
    await this.#printed(/(The Gazette is at work)/);
  }

  /** Asks it to end, and waits until it has. */
  async stop(): Promise<Exit> {
    this.#child.kill('SIGTERM');
    return await this.exit;
  }

  /** Ends it without asking. */
  async kill(): Promise<Exit> {
    this.#child.kill('SIGKILL');
    return await this.exit;
  }

  async #printed(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#stdout)?.[1];
      if (found !== undefined) return found;
      const ended = await Promise.race([
        this.exit,
        once(this.#child.stdout ?? this.#child, 'data').then(() => undefined),
      ]);
      if (ended !== undefined)
        throw new Error(`the Gazette ended with ${ended.code ?? ended.signal}: ${ended.stderr}`);
    }
  }
}
