import { cachePort } from './cache.ts';
import { registerPort } from './register.ts';

registerPort(cachePort);
