// Written after each peer's own documentation. Bentocache wants ioredis 5.

import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { Redis } from 'ioredis';

const ttl = 300_000;

async function ioredis(url) {
  const client = new Redis(url);
  const get = async (key) => {
    const text = await client.get(`ioredis:${key}`);
    return text === null ? undefined : JSON.parse(text);
  };
  const set = async (key, value) =>
    await client.set(`ioredis:${key}`, JSON.stringify(value), 'PX', ttl);
  return {
    id: 'ioredis',
    get,
    set,
    async getOrSet(key, load) {
      const found = await get(key);
      if (found !== undefined) return found;
      const value = await load();
      await set(key, value);
      return value;
    },
    close: () => client.disconnect(),
  };
}

async function bento(url) {
  const connection = new Redis(url);
  const cache = new BentoCache({
    default: 'redis',
    ttl,
    prefix: 'bentocache',
    stores: { redis: bentostore().useL2Layer(redisDriver({ connection })) },
  });
  return {
    id: 'bentocache',
    get: async (key) => await cache.get({ key }),
    set: async (key, value) => await cache.set({ key, value }),
    getOrSet: async (key, load) => await cache.getOrSet({ key, factory: load }),
    close: async () => {
      await cache.disconnectAll();
      connection.disconnect();
    },
  };
}

export const caches = [ioredis, bento];
