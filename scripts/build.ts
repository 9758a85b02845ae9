// `npm run build`: compiles src into dist, with types and source maps.

import { rmSync } from 'node:fs';
import path from 'node:path';

import { root, run } from './run.ts';

// What a removed module left behind must not be published.
rmSync(path.join(root, 'dist'), { recursive: true, force: true });
const { code, output } = await run('tsc', ['-p', 'tsconfig.build.json']);
process.stdout.write(output);
process.exitCode = code ?? 1;
