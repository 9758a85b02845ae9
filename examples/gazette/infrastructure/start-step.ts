import type { Managed } from 'underpin/core';

/** Something that is done once, at its place in the order in which the infrastructure starts. */
export function startStep(component: string, start: Managed['start']): Managed {
  return {
    component,
    adapter: 'step',
    start,
    drain: async () => {},
    checkHealth: async () => ({ status: 'ok' }),
    close: async () => {},
  };
}
