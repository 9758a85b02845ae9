import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.join(import.meta.dirname, 'peers');

/** Installs a peer set by its lockfile, where that has not been done yet. The peers never enter the library's own dependencies. */
export async function installPeers(set: string): Promise<void> {
  const folder = path.join(root, set);
  const stamp = path.join(folder, 'node_modules', '.installed');
  const wanted = createHash('sha256')
    .update(await readFile(path.join(folder, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === wanted) return;
  process.stderr.write(`Installing the peers of ${set}, once …\n`);
  const npm = spawn('npm', ['ci'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(npm, 'exit')) as [number | null];
  if (code !== 0)
    throw new Error(
      `npm ci failed in ${folder}: see its messages above, or leave the peers out with --no-peers`,
    );
  await writeFile(stamp, wanted);
}

/** Imports a module of a peer set. */
export async function importPeerModule(set: string, module: string): Promise<unknown> {
  return await import(pathToFileURL(path.join(root, set, module)).href);
}

/** The versions of a set's peers, as they are installed. */
export async function peerVersions(set: string): Promise<Record<string, string>> {
  const folder = path.join(root, set);
  const { dependencies = {} } = await readJson<{ dependencies?: Record<string, string> }>(
    path.join(folder, 'package.json'),
  );
  const entries = Object.keys(dependencies).map(async (name) => {
    const { version } = await readJson<{ version: string }>(
      path.join(folder, 'node_modules', name, 'package.json'),
    );
    return [name, version] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function readJson<Value>(file: string): Promise<Value> {
  return JSON.parse(await readFile(file, 'utf8')) as Value;
}
