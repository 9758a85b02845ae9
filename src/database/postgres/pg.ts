import type { Submittable } from 'pg';

import { importPeer } from '../../core/index.ts';

export const pg: typeof import('pg') = await importPeer(
  'underpin/database/postgres',
  'pg',
  () => import('pg'),
);

/**
 * Lets `pg` take a class for a query of its own. On a connection that takes statements before it has answered the earlier ones it
 * refuses others, since they may ask for more rows later on: a class that is given here must ask for all at once.
 */
export function passAsQuery(own: { readonly prototype: Submittable }): void {
  Object.setPrototypeOf(own.prototype, pg.Query.prototype as object);
}
