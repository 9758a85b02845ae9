import { importPeer } from '../../core/index.ts';

export const core: typeof import('@mikro-orm/core') = await importPeer(
  'underpin/database/mikro-orm',
  '@mikro-orm/core',
  () => import('@mikro-orm/core'),
);

export const mikroSql: typeof import('@mikro-orm/sql') = await importPeer(
  'underpin/database/mikro-orm',
  '@mikro-orm/sql',
  () => import('@mikro-orm/sql'),
);
