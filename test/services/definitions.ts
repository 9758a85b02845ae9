import { azurite } from './azurite.ts';
import { chromium } from './chromium.ts';
import type { ServerDefinition, ServiceDefinition } from './definition.ts';
import { directus } from './directus.ts';
import { mariadb } from './mariadb.ts';
import { moto } from './moto.ts';
import { postgres } from './postgres.ts';
import { postgres18 } from './postgres18.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';
import { s3 } from './s3.ts';
import { smtp } from './smtp.ts';
import { webPush } from './web-push.ts';

/** A server that tests may need. To add one, write its file beside this one, and name it here twice. */
export type ServerName =
  | 'azurite'
  | 'directus'
  | 'mariadb'
  | 'moto'
  | 'postgres'
  | 'postgres18'
  | 'rabbitmq'
  | 'redis'
  | 's3'
  | 'smtp'
  | 'webPush';

/** What tests may need: a server, or a program. */
export type ServiceName = ServerName | 'chromium';

const servers: Readonly<Record<ServerName, ServerDefinition>> = {
  azurite,
  directus,
  mariadb,
  moto,
  postgres,
  postgres18,
  rabbitmq,
  redis,
  s3,
  smtp,
  webPush,
};

const definitions: Readonly<Record<ServiceName, ServiceDefinition>> = { chromium, ...servers };

export const serverNames: readonly ServerName[] = Object.keys(servers).filter(isServerName);
// Its keys are what its type says.
export const serviceNames: readonly ServiceName[] = Object.keys(definitions) as ServiceName[];

export function isServerName(name: string): name is ServerName {
  return Object.hasOwn(servers, name);
}

export function definitionOf(name: ServerName): ServerDefinition;
export function definitionOf(name: ServiceName): ServiceDefinition;
export function definitionOf(name: ServiceName): ServiceDefinition {
  return definitions[name];
}
