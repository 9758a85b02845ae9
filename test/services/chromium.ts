import path from 'node:path';

import type { ServiceDefinition } from './definition.ts';
import { firstThatRuns, onPath } from './processes.ts';

/** Its address is the absolute path of the browser's binary, which playwright starts. */
export const chromium: ServiceDefinition = {
  variable: 'CHROMIUM_PATH',
  packages: ['chromium'],
  answers: async (address) =>
    path.isAbsolute(address) && (await firstThatRuns([address])) !== undefined,
  locate: async () =>
    await firstThatRuns([
      ...onPath(['chromium', 'google-chrome', 'chromium-browser']),
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    ]),
};
