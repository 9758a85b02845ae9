import { storagePort } from './storage.ts';
import { registerPort } from './register.ts';

registerPort(storagePort);
