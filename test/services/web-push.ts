import { createRequire } from 'node:module';
import path from 'node:path';

import type { ServerDefinition } from './definition.ts';
import { answersHttp } from './processes.ts';

/** A push service for browsers, which decrypts what it gets and checks who sent it: see `web-push-process.ts`. */
export const webPush: ServerDefinition = {
  variable: 'WEB_PUSH_URL',
  packages: [],
  answers: answersHttp,
  locate: async () => createRequire(import.meta.url).resolve('web-push-testing/package.json'),
  forApplication: async () => ({}),

  async prepare({ freePort, spawn }) {
    const port = await freePort();
    const address = `http://127.0.0.1:${port}`;
    return {
      address,
      launch() {
        spawn(process.execPath, [
          path.join(import.meta.dirname, 'web-push-process.ts'),
          String(port),
        ]);
      },
      isReady: async () => await answersHttp(address),
    };
  },
};
