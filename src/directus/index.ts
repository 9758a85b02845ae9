export {
  defaultDirectusPolicy,
  DirectusClient,
  directusClient,
  type DirectusClientOptions,
  type NativeDirectus,
} from './directus.ts';
export type { DirectusCredentials } from './session.ts';
