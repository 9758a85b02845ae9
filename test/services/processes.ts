import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

/** The absolute paths that these commands would have in the folders of PATH, then in the others. An absolute one stays. */
export function onPath(commands: readonly string[], ...others: readonly string[]): string[] {
  const folders = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder));
  return commands.flatMap((command) =>
    [...folders, ...others].map((folder) => path.resolve(folder, command)),
  );
}

/** The first of these binaries that exists and answers, `--version` unless other arguments are given. */
export async function firstThatRuns(
  binaries: readonly string[],
  args: readonly string[] = ['--version'],
): Promise<string | undefined> {
  for (const binary of binaries.filter((candidate) => existsSync(candidate))) {
    try {
      // A distribution's placeholder script exists but does not answer.
      await promisify(execFile)(binary, args, { timeout: 20_000 });
      return binary;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** The first of these binaries, when all of them exist in the folders of PATH or in those where Debian puts servers. */
export function whenAllExist(commands: readonly string[]): string | undefined {
  const found = commands.map((command) =>
    onPath([command], '/usr/sbin', '/sbin', '/usr/local/sbin').find((binary) => existsSync(binary)),
  );
  return found.includes(undefined) ? undefined : found[0];
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.on('error', reject).listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}

/** Whether a URL's server takes a connection, and, when something is to be sent, whether it answers it so. */
export async function exchange(url: string, send = '', expected = ''): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: hostname, port: Number(port) });
  let received = '';
  socket
    .setTimeout(3000, () => resolve(false))
    .on('error', () => resolve(false))
    .on('close', () => resolve(false))
    .on('connect', () => {
      if (send !== '') socket.write(send);
      if (expected === '') resolve(true);
    })
    .on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (expected !== '' && received.includes(expected)) resolve(true);
    });
  const result = await promise;
  socket.destroy();
  return result;
}

/** Whether an HTTP server gives any answer that is no failure of its own. */
export async function answersHttp(url: string): Promise<boolean> {
  try {
    const address = new URL(url);
    // fetch refuses credentials in URLs.
    address.username = '';
    address.password = '';
    const { status } = await fetch(address, { signal: AbortSignal.timeout(5000) });
    return status < 500;
  } catch {
    return false;
  }
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Sends a signal to processes and to all that descend from them, the parents first. Those that are gone are passed over. */
export function signalTrees(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of [...pids, ...descendants(pids)]) {
    try {
      process.kill(pid, signal);
    } catch {
      continue;
    }
  }
}

/** Linux only; elsewhere none, and a server's children end as their parent's connections do. */
function descendants(pids: readonly number[]): number[] {
  if (!existsSync('/proc/self/stat')) return [];
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const parent = parentOf(name);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (let level = pids.flatMap((pid) => children.get(pid) ?? []); level.length > 0;) {
    found.push(...level);
    level = level.flatMap((pid) => children.get(pid) ?? []);
  }
  return found;
}

function parentOf(name: string): number | undefined {
  if (!/^\d+$/.test(name)) return undefined;
  try {
    const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
    // The command's name stands in parentheses, and may contain anything.
    return Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]);
  } catch {
    return undefined;
  }
}
