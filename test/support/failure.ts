import { inspect } from 'node:util';

import { InfrastructureError } from '../../src/core/index.ts';

/** The error that a promise is rejected with, which must be one of the house. */
export async function failureOf(promise: Promise<unknown>): Promise<InfrastructureError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (InfrastructureError.is(error)) return error;
  throw new Error(`no InfrastructureError, but ${inspect(error)}`, { cause: error });
}
