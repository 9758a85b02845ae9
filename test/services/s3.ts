import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { answersHttp, whenAllExist } from './processes.ts';

/** S3, by Ceph's gateway. Its address is `http://KEY:SECRET@HOST:PORT`. Only the gateway is killed: its storage is in memory. */
export const s3: ServerDefinition = {
  variable: 'S3_URL',
  packages: ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'],
  answers: answersHttp,
  locate: async () =>
    whenAllExist(['radosgw', 'ceph-mon', 'ceph-osd', 'ceph', 'radosgw-admin', 'ceph-authtool']),

  async forApplication(address) {
    const { makeBucket, settingsOf } = await import('./buckets.ts');
    return settingsOf(await makeBucket(address, 'underpin'));
  },

  async prepare({ folder, freePort, spawn, run }) {
    const [messenger, legacyMessenger, gateway] = [
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const configuration = path.join(folder, 'ceph.conf');
    const keyring = path.join(folder, 'keyring');
    const monitors = `[v2:127.0.0.1:${messenger},v1:127.0.0.1:${legacyMessenger}]`;
    const cluster = randomUUID();
    for (const name of ['mon', 'osd/0', 'run', 'log'])
      mkdirSync(path.join(folder, name), { recursive: true });
    writeFileSync(configuration, settings(folder, cluster, monitors, gateway));

    const env = { CEPH_CONF: configuration };
    const ceph = async (command: string, ...args: readonly string[]): Promise<string> =>
      await run(command, args, { env });
    const key = async (...args: readonly string[]): Promise<string> =>
      await ceph('ceph-authtool', keyring, '--gen-key', ...args);
    const daemon = (command: string, ...args: readonly string[]): unknown =>
      spawn(command, ['-f', ...args], { env });

    await key('--create-keyring', '-n', 'mon.', '--cap', 'mon', 'allow *');
    await key('-n', 'client.admin', '--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *');
    await key('-n', 'client.rgw.a', '--cap', 'mon', 'allow rw', '--cap', 'osd', 'allow rwx');
    await key('-n', 'osd.0', '--cap', 'mon', 'allow profile osd', '--cap', 'osd', 'allow *');
    const map = path.join(folder, 'monmap');
    const create = ['--create', '--clobber', '--fsid', cluster, '--addv', 'a', monitors, map];
    await ceph('monmaptool', ...create);
    await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring);
    daemon('ceph-mon', '-i', 'a');
    const disk = randomUUID();
    await ceph('ceph', '--connect-timeout', '60', 'osd', 'new', disk);
    await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', disk);
    daemon('ceph-osd', '-i', '0');

    const accessKeyId = 'underpin-test';
    const secretAccessKey = randomBytes(16).toString('hex');
    const origin = `http://127.0.0.1:${gateway}`;
    return {
      address: `http://${accessKeyId}:${secretAccessKey}@127.0.0.1:${gateway}`,
      launch() {
        daemon('radosgw', '-n', 'client.rgw.a');
      },
      isReady: async () => await answersHttp(origin),
      async finish() {
        const user = ['--uid=test', '--display-name=test', '--max-buckets=0'];
        const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
        await ceph('radosgw-admin', 'user', 'create', ...user, ...keys);
      },
    };
  },
};

function settings(folder: string, cluster: string, monitors: string, gateway: number): string {
  return `[global]
fsid = ${cluster}
mon host = ${monitors}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = ${folder}/keyring
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
rgw frontends = beast endpoint=127.0.0.1:${gateway} tcp_nodelay=1
rgw thread pool size = 32
rgw gc obj min wait = 5
rgw gc processor period = 5
`;
}
