import { databasePort } from './database.ts';
import type { RegisteredPort } from './registry.ts';
import { storagePort } from './storage.ts';

/** Every port with the adapters that are held to its suite. Each port's targets stand in a file of its own beside this one. */
export const ports: readonly RegisteredPort[] = [storagePort, databasePort];
