import type { StandardSchemaV1 } from '@standard-schema/spec';

import { InfrastructureError, type ErrorCode, type ErrorOrigin } from './errors.ts';

/** A validator of any library that implements Standard Schema (zod, valibot, arktype, …; https://standardschema.dev). */
export type Schema<Output = unknown, Input = unknown> = StandardSchemaV1<Input, Output>;

/** What a schema lets through. */
export type SchemaOutput<AnySchema extends Schema> = StandardSchemaV1.InferOutput<AnySchema>;

/** What a schema takes. */
export type SchemaInput<AnySchema extends Schema> = StandardSchemaV1.InferInput<AnySchema>;

/** Where a value came from, for the error that refuses it. */
export interface SchemaSubject extends ErrorOrigin {
  /** Names the value in the message, such as `payload of job "resize"`. */
  readonly subject: string;
  /** Default `invalid-argument`; `data-loss` for what an engine gave back. */
  readonly code?: ErrorCode;
}

/**
 * Validates a value and gives the schema's output. Throws an error whose message names each field and its issue; the
 * value itself is in neither message nor details.
 */
export async function parseWithSchema<Output>(
  schema: Schema<Output>,
  value: unknown,
  { subject, code = 'invalid-argument', ...origin }: SchemaSubject,
): Promise<Output> {
  const result = await schema['~standard'].validate(value);
  if (!result.issues) return result.value;
  const issues = result.issues.map((issue) => ({
    path: (issue.path ?? [])
      .map((segment) => String(typeof segment === 'object' ? segment.key : segment))
      .join('.'),
    message: issue.message,
  }));
  throw new InfrastructureError({
    code,
    ...origin,
    message: `${subject} is not valid: ${issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; ')}`,
    details: { issues },
  });
}
