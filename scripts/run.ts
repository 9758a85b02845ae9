import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const root: string = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** How a command ended. */
export interface CommandResult {
  /** The exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** Standard output and standard error as they came. */
  readonly output: string;
}

/** Where and with what a command runs. Default: in the root, with this process's environment, until it ends. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Ends the command. */
  readonly signal?: AbortSignal;
}

/** Runs a command, found on the PATH (tools of the project are first on it), and collects what it prints. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandResult> {
  const bin = path.join(root, 'node_modules', '.bin');
  const env = options.env ?? process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: { ...env, PATH: [bin, env['PATH']].join(path.delimiter) },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: options.signal,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, output }));
  });
}

/** As {@link run}, for a command that must succeed. */
export async function runOrThrow(...args: Parameters<typeof run>): Promise<CommandResult> {
  const result = await run(...args);
  if (result.code !== 0) {
    throw new Error(`${args[0]} ${args[1].join(' ')} ended with ${result.code}:\n${result.output}`);
  }
  return result;
}
