export {
  type AtomicWriteOptions,
  ifPresent,
  isTemporaryFile,
  removeStaleTemporaryFiles,
  syncDirectory,
  temporaryPath,
  writeDirectoryAtomically,
  writeFileAtomically,
} from './atomic-file.ts';
export { type Capabilities, requireCapability } from './capabilities.ts';
export { type Clock, type FakeClock, fakeClock, longestTimer, systemClock } from './clock.ts';
export {
  type CallOptions,
  Component,
  type ComponentOptions,
  type Driver,
  type RunOptions,
} from './component.ts';
export {
  type ConformanceCase,
  type ConformanceResult,
  type ConformanceRunner,
  type ConformanceStatus,
  type ConformanceSuite,
  type ConformanceTarget,
  registerConformance,
  runConformanceCase,
} from './conformance.ts';
export {
  type Context,
  type ContextEnvelope,
  contextEnvelope,
  contextKey,
  currentContext,
  runWithContext,
} from './context.ts';
export { Environment, type EnvironmentProblem, type VariableOptions } from './environment.ts';
export {
  abortReason,
  type Classification,
  type Classify,
  classifyAbort,
  classifySystemError,
  defaultOutcome,
  defaultRetryable,
  type ErrorCode,
  errorCodes,
  type ErrorOrigin,
  InfrastructureError,
  type InfrastructureErrorOptions,
  invalidArgument,
  type Outcome,
  systemErrorCode,
  withOutcome,
  wrapError,
} from './errors.ts';
export {
  type ComponentHealth,
  Health,
  type HealthCheckable,
  type HealthOptions,
  type HealthReport,
  type HealthStatus,
  type LifecycleStage,
} from './health.ts';
export {
  classifyFetchError,
  classifyHttpStatus,
  type HttpAnswer,
  parseRetryAfter,
} from './http.ts';
export {
  defineInfrastructure,
  type Infrastructure,
  type InfrastructureContext,
  type Managed,
  type RunningControls,
  type RunningInfrastructure,
  type StartOptions,
  type StopOptions,
} from './infrastructure.ts';
export {
  operation,
  type OperationAttributes,
  operationChannel,
  type OperationEvent,
  type OperationSubscriber,
  subscribeToOperations,
} from './operation.ts';
export { KeyedMutex } from './keyed-mutex.ts';
export { nearestName } from './nearest.ts';
export { PrivateDirectory } from './private-directory.ts';
export { importPeer, missingPeer } from './peers.ts';
export {
  abortable,
  definePolicy,
  noPolicy,
  type Policy,
  type PolicyCall,
  PolicyExecutor,
  type PolicyOptions,
} from './policies.ts';
export { type ByteSize, type Duration, toBytes, toMilliseconds } from './quantities.ts';
export { redact, Redacted, scrubCredentials, type Secret } from './redacted.ts';
export {
  parseWithSchema,
  type Schema,
  type SchemaInput,
  type SchemaOutput,
  type SchemaSubject,
} from './schema.ts';
