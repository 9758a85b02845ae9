import type { ConformanceSuite } from '../../core/index.ts';
import type { PushCapabilities } from '../driver.ts';
import { idempotencyCases } from './idempotency.ts';
import { lifecycleCases } from './lifecycle.ts';
import { refuseCases } from './refuse.ts';
import { sendCases } from './send.ts';
import { madeUpTargets, type PushSubject } from './support.ts';

export { madeUpTargets, type PushSubject };

/** The rules of the push port. Each adapter is held to all of them. */
export const pushConformance: ConformanceSuite<PushSubject, keyof PushCapabilities> = {
  port: 'push',
  cases: [...sendCases, ...refuseCases, ...idempotencyCases, ...lifecycleCases],
};
