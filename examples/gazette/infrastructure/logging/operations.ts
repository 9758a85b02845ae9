import { logOperations, type Logger } from 'underpin/logging';

/** Writes down what the infrastructure fails at, failed jobs among it; with `LOG_LEVEL=debug`, everything that it does. */
export function logInfrastructure(log: Logger): void {
  const operations = log.child({});
  // That a reader asks for a picture that is not there is no news.
  if (log.level === 'info' || log.level === 'warn') operations.level = 'error';
  logOperations(operations);
}
