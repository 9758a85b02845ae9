// Runs a private Ceph with its S3 gateway in a folder: `node ceph-process.ts FOLDER OWNER_PID`. Writes `server.json` into the
// folder when it answers, or `failed` with the reason. Ends, and removes the folder, when the owner's process has ended, however
// that ended: so no crash of a test run leaves a server behind.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const [, , folder = '', owner = ''] = process.argv;
const configuration = path.join(folder, 'ceph.conf');
const keyring = path.join(folder, 'keyring');
const daemons: ChildProcess[] = [];

process.on('exit', () => {
  for (const daemon of daemons) daemon.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
});
setInterval(() => {
  if (!isRunning(Number(owner))) process.exit();
}, 500);

try {
  publish('server.json', JSON.stringify(await start()));
} catch (error) {
  publish('failed', String(error));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Whoever sees the file sees all of it. */
function publish(name: string, text: string): void {
  writeFileSync(path.join(folder, `${name}.new`), text);
  renameSync(path.join(folder, `${name}.new`), path.join(folder, name));
}

async function start(): Promise<Record<string, string>> {
  const [messenger, legacyMessenger, gateway] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const monitors = `[v2:127.0.0.1:${messenger},v1:127.0.0.1:${legacyMessenger}]`;
  const cluster = randomUUID();
  for (const name of ['mon', 'osd/0', 'run', 'log'])
    mkdirSync(path.join(folder, name), { recursive: true });
  writeFileSync(configuration, settings(cluster, monitors, gateway));

  await key('--create-keyring', '-n', 'mon.', '--cap', 'mon', 'allow *');
  await key('-n', 'client.admin', '--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *');
  await key('-n', 'client.rgw.a', '--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx');
  await key('-n', 'osd.0', '--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *');
  const map = path.join(folder, 'monmap');
  await run('monmaptool', '--create', '--clobber', '--fsid', cluster, '--addv', 'a', monitors, map);
  await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring);
  daemon('ceph-mon', '-i', 'a');
  const disk = randomUUID();
  await run('ceph', '--connect-timeout', '60', 'osd', 'new', disk);
  await run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk);
  daemon('ceph-osd', '-i', '0');
  daemon('radosgw', '-n', 'client.rgw.a');

  const endpoint = `http://127.0.0.1:${gateway}`;
  await answering(endpoint);
  const accessKeyId = 'underpin-test';
  const secretAccessKey = randomBytes(16).toString('hex');
  const user = ['--uid=test', '--display-name=test', '--max-buckets=0'];
  const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
  await run('radosgw-admin', 'user', 'create', ...user, ...keys);
  return { endpoint, accessKeyId, secretAccessKey };
}

function settings(cluster: string, monitors: string, gateway: number): string {
  return `[global]
fsid = ${cluster}
mon host = ${monitors}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = ${keyring}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 0
run dir = ${folder}/run
admin socket = ${folder}/run/$cluster-$name.asok
pid file = ${folder}/run/$name.pid
log file = ${folder}/log/$name.log
crash dir = ${folder}/crash
[mon]
mon data = ${folder}/mon/$id
mon cluster log file = ${folder}/log/cluster.log
[osd]
osd data = ${folder}/osd/$id
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 939524096
[client.rgw.a]
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw thread pool size = 32
`;
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, CEPH_CONF: configuration };
}

async function run(command: string, ...args: readonly string[]): Promise<void> {
  await promisify(execFile)(command, args, { env: environment(), timeout: 90_000 });
}

async function key(...args: readonly string[]): Promise<void> {
  await run('ceph-authtool', keyring, '--gen-key', ...args);
}

function daemon(command: string, ...args: readonly string[]): void {
  daemons.push(spawn(command, ['-f', ...args], { env: environment(), stdio: 'ignore' }));
}

async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.on('error', reject).listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}

async function answering(endpoint: string): Promise<void> {
  for (let attempt = 0; attempt < 900; attempt += 1) {
    const stopped = daemons.find(({ exitCode }) => exitCode !== null);
    if (stopped) throw new Error(`${stopped.spawnfile} ended with ${stopped.exitCode}`);
    const isUp = await fetch(endpoint).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return;
    await sleep(100);
  }
  throw new Error(`no answer from ${endpoint} within 90 s`);
}
