import { describe, it } from 'vitest';

import type { RegisteredPort } from './registry.ts';

/** Registers the suite of a port with the runner, once for each of its adapters. */
export function registerPort({ port, adapters }: RegisteredPort): void {
  for (const { adapter, skip, register } of adapters) {
    if (skip === undefined) register({ describe, it });
    else it.skip(`${port} conformance: ${adapter}: ${skip}`);
  }
}
