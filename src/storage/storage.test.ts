import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, it } from 'vitest';

import { registerConformance } from '../core/index.ts';
import { storageConformance } from './conformance/index.ts';
import { diskStorage } from './disk/index.ts';
import { memoryStorage } from './memory.ts';

const memory = memoryStorage();
registerConformance(
  storageConformance,
  {
    adapter: 'memory',
    capabilities: memory.capabilities,
    create: async () => memoryStorage(),
    dispose: async (s) => await s.close(),
  },
  { describe, it },
);
const dirs = new Map<object, string>();
registerConformance(
  storageConformance,
  {
    adapter: 'disk',
    capabilities: diskStorage({ directory: 'unused' }).capabilities,
    create: async () => {
      const d = await mkdtemp(path.join(tmpdir(), 'st-'));
      const s = diskStorage({ directory: d });
      dirs.set(s, d);
      return s;
    },
    dispose: async (s) => {
      await s.close();
      await rm(dirs.get(s) ?? '', { recursive: true });
    },
  },
  { describe, it },
);
