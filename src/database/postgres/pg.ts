import { importPeer } from '../../core/index.ts';

export const pg: typeof import('pg') = await importPeer(
  'underpin/database/postgres',
  'pg',
  () => import('pg'),
);
