import { importPeer } from '../../core/index.ts';

export const azure: typeof import('@azure/storage-blob') = await importPeer(
  'underpin/storage/azure',
  '@azure/storage-blob',
  () => import('@azure/storage-blob'),
);
