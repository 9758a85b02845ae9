import type { Classification, Classify } from '../../core/index.ts';
import { ConnectError } from './connection.ts';

const unanswered = 'the connection to Redis broke before it answered';

/** By the first word of what Redis answers (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors). */
const answers: Readonly<Record<string, Classification>> = {
  WRONGPASS: {
    code: 'unauthenticated',
    message: 'Redis refuses the user name or the password of the URL',
  },
  NOAUTH: {
    code: 'unauthenticated',
    message: 'Redis wants a password: give it in the URL, redis://:PASSWORD@HOST',
  },
  NOPERM: { code: 'permission-denied' },
  OOM: {
    code: 'resource-exhausted',
    message:
      'Redis is full (maxmemory) and takes no more jobs: give it more memory, or more workers',
  },
  WRONGTYPE: {
    code: 'failed-precondition',
    outcome: 'unknown',
    message: 'the keys of the queue are used for something else: give it another prefix',
  },
  LOADING: { code: 'unavailable', outcome: 'not-applied' },
  BUSY: { code: 'unavailable', outcome: 'not-applied' },
  READONLY: { code: 'unavailable', outcome: 'not-applied' },
  MASTERDOWN: { code: 'unavailable', outcome: 'not-applied' },
  NOREPLICAS: { code: 'unavailable', outcome: 'not-applied' },
  MISCONF: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: 'Redis cannot write to its disk and therefore takes no writes: see its log',
  },
  MOVED: {
    code: 'failed-precondition',
    message: 'this is a Redis Cluster, which the queue does not support: name a single Redis',
  },
};

/** Node-redis' own errors, by the name of their class. */
const brokenConnection: ReadonlySet<string> = new Set([
  'SocketClosedUnexpectedlyError',
  'DisconnectsClientError',
]);

/** Those that it throws before it sends anything. */
const unsent: ReadonlySet<string> = new Set(['ClientClosedError', 'ClientOfflineError']);

/** Maps the errors of node-redis and of Redis. */
export const classifyRedisError: Classify = (error) => {
  if (error instanceof ConnectError) {
    const cause = classifyAnswer(error.cause) ?? classifyCertificate(error.cause);
    return {
      ...(cause ?? {
        code: 'unavailable',
        message: `Redis cannot be reached: ${error.message}`,
      }),
      outcome: 'not-applied',
    };
  }
  if (!(error instanceof Error)) return undefined;
  if (unsent.has(error.constructor.name))
    return { code: 'unavailable', outcome: 'not-applied', message: 'no connection to Redis' };
  if (brokenConnection.has(error.constructor.name))
    return { code: 'unavailable', message: unanswered };
  return classifyAnswer(error);
};

function classifyAnswer(error: unknown): Classification | undefined {
  if (!(error instanceof Error)) return undefined;
  const { message } = error;
  const [word = ''] = message.split(' ', 1);
  if (Object.hasOwn(answers, word)) return answers[word];
  if (message.startsWith('ERR max number of clients'))
    return { code: 'resource-exhausted', outcome: 'not-applied' };
  if (message.startsWith('ERR DB index'))
    return {
      code: 'failed-precondition',
      message: 'Redis has no database of that number: see `databases` in its configuration',
    };
  if (message.startsWith('ERR AUTH <password>'))
    return {
      code: 'unauthenticated',
      message: 'Redis has no password, but the URL gives one: remove it',
    };
  return undefined;
}

/** By the codes of Node's TLS (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
function classifyCertificate(error: unknown): Classification | undefined {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (typeof code !== 'string' || !/CERT|ISSUER|ALTNAME/.test(code)) return undefined;
  return {
    code: 'failed-precondition',
    message: `the certificate of Redis is not trusted (${code}): give the one that vouches for it as tls.ca, or name the host that it is for`,
  };
}
