import { readdirSync } from 'node:fs';
import path from 'node:path';

import { runOrThrow } from './run.ts';

/** Builds the package and packs it into `folder`, just as publishing does. Returns the tarball's path. */
export async function packTarball(folder: string): Promise<string> {
  await runOrThrow('npm', ['pack', '--pack-destination', folder]);
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error(`npm pack left no tarball in ${folder}`);
  return path.join(folder, tarball);
}
