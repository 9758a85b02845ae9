import { cachePort } from './cache.ts';
import type { RegisteredPort } from './registry.ts';

/** Every port with the adapters that are held to its suite. Each port's targets stand in a file of its own beside this one. */
export const ports: readonly RegisteredPort[] = [cachePort];
