import { type Classification, type Classify, systemErrorCode } from '../core/index.ts';
import { NotConnectedError } from './connection.ts';

const notNow: Classification = { code: 'unavailable', outcome: 'not-applied' };

/**
 * By the first word of what Redis answers (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors). It answers
 * so before it does anything, in a script before its first write, unless an outcome says otherwise.
 */
const answers: Readonly<Record<string, Classification>> = {
  WRONGPASS: {
    code: 'unauthenticated',
    message: 'Redis does not accept the user name and password: check those in the URL',
  },
  NOAUTH: {
    code: 'unauthenticated',
    message: 'Redis asks for a password: give it in the URL, as redis://:PASSWORD@HOST',
  },
  NOPERM: { code: 'permission-denied' },
  OOM: { code: 'resource-exhausted' },
  // A script may have written other keys before.
  WRONGTYPE: { code: 'failed-precondition', outcome: 'unknown' },
  LOADING: notNow,
  BUSY: notNow,
  UNKILLABLE: notNow,
  TRYAGAIN: notNow,
  CLUSTERDOWN: notNow,
  MASTERDOWN: notNow,
  NOREPLICAS: notNow,
  MISCONF: {
    ...notNow,
    message: 'Redis cannot write to its disk and therefore takes no writes: see its log',
  },
  READONLY: {
    ...notNow,
    message: 'this Redis is a replica, which takes no writes: connect to the primary',
  },
  MOVED: {
    code: 'failed-precondition',
    message: 'this is one node of a Redis Cluster, which a URL of one machine cannot reach',
  },
};

/** The word that an answer begins with. Redis 6 tells before it in what script it was. */
const firstWord = /^(?:ERR Error running script .*@user_script: ?\d+: -?)?([A-Z]+)(?= |$)/;

/** Answers whose first word says nothing, by how they begin. */
const plainAnswers: readonly (readonly [string, Classification])[] = [
  [
    'ERR max number of clients',
    {
      code: 'resource-exhausted',
      message: 'Redis has as many clients as its maxclients allows',
    },
  ],
  [
    'ERR DB index',
    {
      code: 'failed-precondition',
      message:
        'Redis has no database of the number in the URL: see `databases` in its configuration',
    },
  ],
  [
    'ERR AUTH <password>',
    {
      code: 'unauthenticated',
      message: 'Redis has no password, but the URL gives one: remove it',
    },
  ],
];

/** The errors that node-redis makes itself, by the name of their class. Those before anything was sent … */
const unsent: ReadonlySet<string> = new Set([
  'ClientOfflineError',
  'ClientClosedError',
  'ConnectionTimeoutError',
]);
/** … and those after it, when no answer came. A client that was given has more of them than ours. */
const unanswered: ReadonlySet<string> = new Set([
  'SocketClosedUnexpectedlyError',
  'SocketTimeoutError',
  'DisconnectsClientError',
]);

/**
 * Maps the errors of a {@link RedisConnection}. `messages` are the adapter's own words for answers of Redis, by their first word.
 */
export function redisClassifier(messages: Readonly<Record<string, string>>): Classify {
  const classifyAnswer = (error: unknown): Classification | undefined => {
    if (!(error instanceof Error)) return undefined;
    const word = firstWord.exec(error.message)?.[1] ?? '';
    if (!Object.hasOwn(answers, word))
      return plainAnswers.find(([beginning]) => error.message.startsWith(beginning))?.[1];
    const answer = answers[word] as Classification;
    return {
      ...answer,
      ...(Object.hasOwn(messages, word) && { message: messages[word] as string }),
      // The right to a command is asked for when the script comes to it.
      ...(word === 'NOPERM' && isOfScript(error) && { outcome: 'unknown' as const }),
    };
  };
  return (error) => {
    if (!(error instanceof Error)) return undefined;
    if (error instanceof NotConnectedError) {
      const reason = classifyAnswer(error.cause) ?? classifyCertificate(error.cause);
      return {
        code: 'unavailable',
        message: `not connected to Redis: ${error.message}`,
        ...reason,
        outcome: 'not-applied',
      };
    }
    const { name } = error.constructor;
    if (unsent.has(name)) return { ...notNow, message: 'not connected to Redis' };
    if (unanswered.has(name))
      return { code: 'unavailable', message: 'the connection to Redis broke before it answered' };
    if (/EPROTO|ERR_SSL/.test(systemErrorCode(error) ?? ''))
      return {
        code: 'unavailable',
        message: `the encryption of Redis' connection broke: ${error.message}`,
      };
    return classifyAnswer(error);
  };
}

/** Redis says where in a script an error arose, and Redis 6 at the beginning. */
function isOfScript({ message }: Error): boolean {
  return / script: [\da-f]{40}, on |^ERR Error running script /.test(message);
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
