import { readFileSync } from 'node:fs';
import path from 'node:path';

/** An optional peer that a module needs as soon as it is imported. */
export interface NeededPeer {
  /** The subpath that the adapter's message names. */
  readonly subpath: string;
  readonly peer: string;
}

/**
 * The optional peers without which a source file cannot be imported: those that it, or what it imports, loads by
 * `importPeer` at the top level of the module. (One that is loaded within a function is needed only by its callers.)
 */
export function peersOf(file: string, seen: Set<string> = new Set()): NeededPeer[] {
  if (seen.has(file)) return [];
  seen.add(file);
  const code = readFileSync(file, 'utf8');
  const own = [
    ...code.matchAll(/^(?:export )?const .*?=\s*await importPeer\(\s*'([^']+)',\s*'([^']+)'/gms),
  ];
  // The formatter puts the keyword of a top-level statement at the start of its line.
  const imported = [...code.matchAll(/^(?:import|export) (?!type )[^;]*? from '(\.[^']+)';/gms)];
  return [
    ...own.map(([, subpath = '', peer = '']) => ({ subpath, peer })),
    ...imported.flatMap(([, target = '']) =>
      peersOf(path.resolve(path.dirname(file), target), seen),
    ),
  ];
}
