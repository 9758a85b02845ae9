import type { JobFailure } from './driver.ts';

/** The failure of an attempt whose lease ended, the same on every adapter. */
export function leaseEnded(at: number): JobFailure {
  return {
    code: 'aborted',
    message: 'the lease ended before the job did: its worker crashed or hung',
    at,
  };
}
