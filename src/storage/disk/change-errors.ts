import { conditionFailed, notFound, StorageFault } from '../errors.ts';
import { type Refusal, RefusedChange, UnfinishedChange } from './changes.ts';

/** What a storage throws for what {@link Changes} threw. */
export function errorOf(error: unknown): unknown {
  if (error instanceof RefusedChange) return faultOf(error.refusal);
  if (error instanceof UnfinishedChange) return unfinished(error.message, error.cause);
  return error;
}

/** What a storage throws for a refusal. */
export function faultOf({ reason, at }: Refusal): StorageFault {
  if (reason === 'absent') return notFound(at);
  if (reason === 'exists') return conditionFailed(at, 'ifNoneMatch');
  if (reason === 'changed') return conditionFailed(at, 'ifMatch');
  if (reason === 'source-changed') return conditionFailed(at, 'ifSourceMatch');
  if (reason === 'link') return linkRefused(at);
  return new StorageFault({
    code: 'unimplemented',
    message: `${JSON.stringify(at)} would be both a file and a folder, which a disk cannot hold: choose another key`,
    details: { capability: 'nestedKeys' },
  });
}

/** A folder is reached through a symbolic link below the root. */
export function linkRefused(folder: string): StorageFault {
  return new StorageFault({
    code: 'permission-denied',
    message: `${folder} is a symbolic link, which could lead out of the storage: replace it with a folder`,
  });
}

/** A change took place, and something failed after it. */
export function unfinished(message: string, cause: unknown): StorageFault {
  return new StorageFault({ code: 'data-loss', outcome: 'applied', message }, cause);
}
