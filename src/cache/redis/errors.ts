import type { Classification } from '../../core/index.ts';
import { systemErrorCode } from '../../core/index.ts';

const notNow: Classification = { code: 'unavailable', outcome: 'not-applied' };

/** Redis 6 tells first in what script it was. */
const firstWord = /^(?:ERR Error running script .*@user_script: ?\d+: -?)?([A-Z]+)(?= |$)/;

/** By the first word of what the server answers. It answers so before it does anything. */
const replies: Readonly<Record<string, Classification>> = {
  WRONGPASS: {
    code: 'unauthenticated',
    message: 'Redis does not accept the user name and password: check those in the URL',
  },
  NOAUTH: {
    code: 'unauthenticated',
    message: 'Redis asks for a password: give it in the URL, as redis://:PASSWORD@HOST',
  },
  NOPERM: {
    code: 'permission-denied',
    message: 'Redis denies it to this user: grant the rights listed in docs/cache-redis.md',
  },
  OOM: {
    code: 'resource-exhausted',
    retryable: false,
    message:
      'Redis is full, and its maxmemory-policy lets it drop nothing: give it more maxmemory, or a policy such as allkeys-lru',
  },
  LOADING: notNow,
  BUSY: notNow,
  UNKILLABLE: notNow,
  TRYAGAIN: notNow,
  CLUSTERDOWN: notNow,
  MASTERDOWN: notNow,
  MISCONF: notNow,
  NOREPLICAS: notNow,
  READONLY: {
    ...notNow,
    message: 'this Redis is a replica, which takes no writes: connect to the primary',
  },
  MOVED: {
    code: 'failed-precondition',
    message: 'this is one node of a Redis Cluster, which a URL of one machine cannot reach',
  },
  WRONGTYPE: {
    code: 'failed-precondition',
    message: 'somebody else keeps other things under the prefix of this cache: give it its own',
  },
};

/** By the name of an error that node-redis makes itself. Here nothing was sent … */
const unsent: ReadonlySet<string> = new Set([
  'ClientOfflineError',
  'ClientClosedError',
  'ConnectionTimeoutError',
]);
/** … and here it was, but no answer came. */
const unanswered: ReadonlySet<string> = new Set([
  'SocketClosedUnexpectedlyError',
  'SocketTimeoutError',
  'DisconnectsClientError',
]);

/** Maps what node-redis throws, and what Redis answers. */
export function classifyRedisError(error: unknown): Classification | undefined {
  if (!(error instanceof Error)) return undefined;
  const name = error.constructor.name;
  if (unsent.has(name)) return notConnected(error);
  if (unanswered.has(name))
    return { code: 'unavailable', message: 'the connection to Redis broke before it answered' };
  const word = firstWord.exec(error.message)?.[1] ?? '';
  if (Object.hasOwn(replies, word)) return replies[word];
  if (error.message.startsWith('ERR max number of clients')) {
    return {
      code: 'resource-exhausted',
      message: 'Redis has as many clients as its maxclients allows',
    };
  }
  if (error.message.startsWith('ERR DB index')) {
    return {
      code: 'failed-precondition',
      message: 'Redis has no database of the number in the URL',
    };
  }
  const message = `no TLS with Redis: ${error.message}`;
  const system = systemErrorCode(error) ?? '';
  if (/CERT|SELF_SIGNED/.test(system))
    return { code: 'failed-precondition', outcome: 'not-applied', message };
  // While a connection is made, or at any time after.
  if (/EPROTO|ERR_SSL/.test(system)) return { code: 'unavailable', outcome: 'unknown', message };
  return undefined;
}

// Why there is no connection says more than that there is none.
function notConnected({ cause }: Error): Classification {
  const reason = cause === undefined ? undefined : classifyRedisError(cause);
  const because = cause instanceof Error && cause.message !== '' ? `: ${cause.message}` : '';
  return {
    ...notNow,
    message: `not connected to Redis${because}`,
    ...(reason?.code === 'unauthenticated' ? reason : {}),
  };
}
