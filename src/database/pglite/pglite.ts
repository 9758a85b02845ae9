import { importPeer } from '../../core/index.ts';

export const pglite: typeof import('@electric-sql/pglite') = await importPeer(
  'underpin/database/pglite',
  '@electric-sql/pglite',
  () => import('@electric-sql/pglite'),
);
