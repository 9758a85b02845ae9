import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { answersHttp, whenAllExist } from './processes.ts';

const server = path.join(import.meta.dirname, 'moto-atomic.py');

/**
 * S3, by moto: a second reading of its protocol, closer to AWS in its answers and its checksums. It verifies no signature, and no
 * content against one. It keeps everything in memory.
 */
export const moto: ServerDefinition = {
  variable: 'MOTO_URL',
  packages: [],
  installedByHand: 'pip install "moto[server]"',
  answers: answersHttp,
  locate: async () => whenAllExist(['python3', 'moto_server']),

  async forApplication(address) {
    const { makeBucket, settingsOf } = await import('./buckets.ts');
    return settingsOf(await makeBucket(address, 'underpin'));
  },

  async prepare({ binary, freePort, spawn }) {
    const port = await freePort();
    return {
      address: `http://underpin-test:anything@127.0.0.1:${port}`,
      launch() {
        spawn(binary, [server, String(port)]);
      },
      isReady: async () => await answersHttp(`http://127.0.0.1:${port}`),
    };
  },
};
