import { z } from 'zod';

import { defineJob, type JobDefinition } from '../../src/queue/index.ts';

interface Numbered {
  readonly number: number;
}

const payload = z.object({ number: z.number() });

/** A job whose handler writes one row, in the transaction that acknowledges it. */
export const atomicJob: JobDefinition<Numbered, Numbered> = defineJob({ name: 'atomic', payload });

/** A job whose handler writes one row, and is then acknowledged. */
export const plainJob: JobDefinition<Numbered, Numbered> = defineJob({ name: 'plain', payload });

/** The table that the handlers write to. A type and no interface, which would lack the index signature that Kysely asks for. */
export type Tables = { effect: { kind: string; number: number; attempt: number } };
