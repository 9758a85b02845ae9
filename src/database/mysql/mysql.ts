import { importPeer } from '../../core/index.ts';

const peer = await importPeer('underpin/database/mysql', 'mysql2', () => import('mysql2'));

/** The whole of it: not all that it has are names that an import of CommonJS finds. */
export const mysql: typeof import('mysql2') = peer.default;
