export {
  Cache,
  type CacheValue,
  type CompareAndSetOptions,
  type IncrementOptions,
  type Loader,
  type VersionedValue,
} from './cache.ts';
export type {
  CacheCapabilities,
  CacheCondition,
  CacheDriver,
  CacheEntry,
  CacheLease,
  CacheWrite,
  CounterStep,
  StoredEntry,
} from './driver.ts';
export type { LoadContext } from './flights.ts';
export type { BatchLoader } from './loads.ts';
export type {
  CacheLifetime,
  CacheLoading,
  CacheLoadOptions,
  CacheOptions,
  CacheSetOptions,
} from './options.ts';
export { openValue, type SealedValue, sealValue } from './values.ts';
