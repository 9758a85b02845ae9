export { logOperations } from './log-operations.ts';
export {
  createLogger,
  type LogFields,
  Logger,
  type LoggerOptions,
  type LogLevel,
  logLevels,
} from './logger.ts';
export type { LogDestination, LogFormat } from './output.ts';
