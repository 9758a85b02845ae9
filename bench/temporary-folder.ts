import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A fresh folder for a bench's files: in memory where the system has such a place, so that no disk is measured. */
export async function temporaryFolder(): Promise<string> {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  return await mkdtemp(path.join(parent, 'underpin-bench-'));
}
