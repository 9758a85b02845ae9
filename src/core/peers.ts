import { InfrastructureError } from './errors.ts';

/**
 * Loads an optional peer for the adapter that needs it. When it is not installed, throws `failed-precondition` with the
 * `npm install` line. Called at the top level of an adapter's module, so that the import of its subpath fails at once.
 *
 * @example
 * const sdk = await importPeer('underpin/directus', '@directus/sdk', () => import('@directus/sdk'));
 */
export async function importPeer<Module>(
  subpath: string,
  peer: string,
  load: () => Promise<Module>,
): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    throw missingPeer(subpath, peer, error) ?? error;
  }
}

/** What to tell of a failed load, if it failed because this very peer is not installed. */
export function missingPeer(
  subpath: string,
  peer: string,
  error: unknown,
): InfrastructureError | undefined {
  const code: unknown = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  // The peer may be there, and lack something of its own.
  if (!(error as Error).message.includes(`'${peer}'`)) return undefined;
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'core',
    message: `${subpath} needs the optional peer "${peer}", which is not installed. Run: npm install ${peer}`,
    cause: error,
  });
}
