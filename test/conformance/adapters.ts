import { cachePort } from './cache.ts';
import { databasePort } from './database.ts';
import { mailPort } from './mail.ts';
import { pushPort } from './push.ts';
import { queuePort } from './queue.ts';
import type { RegisteredPort } from './registry.ts';
import { repositoriesPort } from './repositories.ts';
import { storagePort } from './storage.ts';

/** Every port with the adapters that are held to its suite. Each port's targets stand in a file of its own beside this one. */
export const ports: readonly RegisteredPort[] = [
  storagePort,
  cachePort,
  databasePort,
  repositoriesPort,
  queuePort,
  mailPort,
  pushPort,
];
