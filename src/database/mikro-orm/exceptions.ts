import type { DriverException, ExceptionConverter } from '@mikro-orm/core';

import { InfrastructureError } from '../../core/index.ts';
import { core } from './library.ts';

/**
 * Makes MikroORM's exceptions, of the class that the platform's own converter finds by the engine's error. An exception of a database
 * stays an {@link InfrastructureError} too, with all that it says, and with that error as its cause: code that knows either finds what
 * it looks for, and the database runs again what ran into a conflict.
 */
export function exceptionConverter(platformConverter: ExceptionConverter): ExceptionConverter {
  return {
    convertException(error) {
      if (!InfrastructureError.is(error)) return platformConverter.convertException(error);
      const exception = new (classOf(error, platformConverter))(error);
      for (const symbol of Object.getOwnPropertySymbols(error))
        Object.defineProperty(exception, symbol, { value: Reflect.get(error, symbol) });
      // Accessors, as the error's own, since Node shows an uncaught error by its plain properties.
      Object.defineProperty(exception, 'cause', { get: () => error, enumerable: false });
      Object.defineProperty(exception, 'toJSON', { value: () => error.toJSON() });
      return exception;
    },
  };
}

function classOf(
  { code, cause }: InfrastructureError,
  platformConverter: ExceptionConverter,
): typeof DriverException {
  if (code === 'aborted') return core.DeadlockException;
  if (!(cause instanceof Error)) return core.DriverException;
  // A copy: the converter writes into the message.
  const copy = Object.assign(new Error(cause.message), cause) as unknown as Parameters<
    ExceptionConverter['convertException']
  >[0];
  return platformConverter.convertException(copy).constructor as typeof DriverException;
}
