import { createHash } from 'node:crypto';

/** A Lua script, which Redis runs as one step, and the name under which Redis keeps it. */
export interface Script {
  readonly source: string;
  readonly sha1: string;
}

export function luaScript(source: string): Script {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}
