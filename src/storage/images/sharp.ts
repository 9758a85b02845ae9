import { importPeer } from '../../core/index.ts';

const module = await importPeer('underpin/storage/images', 'sharp', () => import('sharp'));

/** What the optional peer exports. */
export const sharp: typeof import('sharp').default = module.default;
