import type { ConformanceSuite } from '../../core/index.ts';
import type { CacheCapabilities } from '../driver.ts';
import { counterCases } from './counters.ts';
import { expiryCases } from './expiry.ts';
import { graceCases } from './grace.ts';
import { loadCases } from './loads.ts';
import { sharedCases } from './shared.ts';
import type { CacheSubject } from './support.ts';
import { valueCases } from './values.ts';

export type { CacheSubject };

/** The rules that every cache adapter is held to. A subject is an empty cache with default options on a fake clock. */
export const cacheConformance: ConformanceSuite<CacheSubject, keyof CacheCapabilities> = {
  port: 'cache',
  cases: [
    ...valueCases,
    ...expiryCases,
    ...loadCases,
    ...graceCases,
    ...counterCases,
    ...sharedCases,
  ],
};
