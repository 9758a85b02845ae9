import { pushPort } from './push.ts';
import { registerPort } from './register.ts';

registerPort(pushPort);
