import { importPeer } from '../../core/index.ts';

export const mysql: typeof import('mysql2') = await importPeer(
  'underpin/database/mysql',
  'mysql2',
  () => import('mysql2'),
);
