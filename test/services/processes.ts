import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

/** Whether this process may do anything. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

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

/**
 * A port of 127.0.0.1 that nobody listens on. Of those that systems never choose by themselves: a server that is killed finds its
 * own free again, whatever was connected or opened meanwhile.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(10_000, 32_768);
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  const isListening = await promise;
  if (isListening) await promisify(server.close.bind(server))();
  return isListening;
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

/** A text that no other process has had: its id, which systems give out again, and when it began, where that can be told. */
export function identityOf(pid: number): string {
  return [pid, statOf(pid)?.started].filter(Boolean).join('-');
}

/** Whether there is such a process, and it has not ended. One that nobody has asked how it ended has ended too. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = statOf(pid);
    // What the first thread had open, such as a port, is the others' too, which may end later.
    return stat?.state !== 'Z' || stat.threads > 1;
  } catch (error) {
    // Somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Sends a signal to processes and to all that descend from them, and gives their ids. Those that are gone are passed over. They are
 * stopped first, so that none of them makes another one unseen.
 */
export function signalTrees(pids: readonly number[], signal: NodeJS.Signals): readonly number[] {
  const known = new Set<number>();
  for (let found = pids; found.length > 0; found = childrenOf(known)) {
    for (const pid of found) {
      known.add(pid);
      send(pid, 'SIGSTOP');
    }
  }
  if (signal !== 'SIGSTOP') for (const pid of known) send(pid, signal);
  return [...known];
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
}

/** Those that are not among their parents. Linux only; elsewhere none, and a server's children end as their parent's connections do. */
function childrenOf(parents: ReadonlySet<number>): number[] {
  if (!existsSync('/proc/self/stat')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => !parents.has(pid) && parents.has(statOf(pid)?.parent ?? -1));
}

interface Stat {
  readonly state: string;
  readonly parent: number;
  readonly threads: number;
  /** In a unit of its own. */
  readonly started: string | undefined;
}

/** Linux only. */
function statOf(pid: number): Stat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command's name stands in parentheses, and may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = '', parent] = fields;
    return { state, parent: Number(parent), threads: Number(fields[17]), started: fields[19] };
  } catch {
    return undefined;
  }
}
