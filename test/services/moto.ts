import type { ServerDefinition } from './definition.ts';
import { answersHttp, whenAllExist } from './processes.ts';

/**
 * S3, by moto: a second reading of its protocol, closer to AWS in its answers and its checksums. It verifies no signature, and no
 * content against one; and of racing writers with a condition, two may win. It keeps everything in memory.
 */
export const moto: ServerDefinition = {
  variable: 'MOTO_URL',
  packages: [],
  installedByHand: 'pip install "moto[server]"',
  answers: answersHttp,
  locate: async () => whenAllExist(['moto_server']),

  async forApplication(address) {
    const { makeBucket, settingsOf } = await import('./buckets.ts');
    return settingsOf(await makeBucket(address, 'underpin'));
  },

  async prepare({ binary, freePort, spawn }) {
    const port = await freePort();
    return {
      address: `http://underpin-test:anything@127.0.0.1:${port}`,
      launch() {
        spawn(binary, ['-H', '127.0.0.1', '-p', String(port)]);
      },
      isReady: async () => await answersHttp(`http://127.0.0.1:${port}`),
    };
  },
};
