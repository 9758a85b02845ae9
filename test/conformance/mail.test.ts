import { mailPort } from './mail.ts';
import { registerPort } from './register.ts';

registerPort(mailPort);
