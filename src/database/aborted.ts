import { abortReason, type InfrastructureError, withOutcome, wrapError } from '../core/index.ts';

/** What a call throws whose signal is aborted before it has reached the engine. */
export function abortedBefore(signal: AbortSignal): InfrastructureError {
  return withOutcome(wrapError(abortReason(signal), { component: 'database' }), 'not-applied');
}
