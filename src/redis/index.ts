export { type RedisClient, RedisConnection } from './connection.ts';
export { redisClassifier } from './errors.ts';
export { luaScript, type Script } from './script.ts';
export { parseRedisUrl, readRedisOptions } from './options.ts';
