import { randomBytes } from 'node:crypto';

import { abortable, type Classify, type Clock, systemClock } from '../../core/index.ts';
import {
  redisClassifier,
  type RedisClient,
  type RedisConnection,
  type Script,
} from '../../redis/index.ts';
import type {
  CacheDriver,
  CacheEntry,
  CacheLease,
  CacheWrite,
  CounterStep,
  StoredEntry,
} from '../driver.ts';
import { decodeValue, encodeValue, freezeDeeply } from './payload.ts';
import {
  deleteScript,
  holdsScript,
  incrementScript,
  leaseScript,
  readScript,
  sweepScript,
  writeScript,
} from './scripts.ts';

/** What {@link RedisCacheDriver} takes. */
export interface RedisDriverOptions {
  readonly connection: RedisConnection;
  readonly prefix: string;
  /** Replaces the server's time, for tests. */
  readonly clock?: Clock | undefined;
}

/** The right to write a key, with the generations it stands on. */
interface RedisLease extends CacheLease {
  readonly root: string;
  readonly gate: string;
  /** The tags that the lease was taken for. */
  readonly tags: readonly string[];
  /** The generations of these, and of the tags of the entry that was there. */
  readonly generations: ReadonlyMap<string, string>;
}

/** An entry as the scripts give it: value, version, milliseconds since it was written, {@link Info} and its tags with their generations as JSON. */
type EntryReply = readonly [
  value: Buffer,
  version: Buffer,
  age: number,
  info: Buffer,
  tagged: Buffer,
];

/** What of an entry only the client reads. Times are milliseconds since it was written, `null` for ever. */
interface Info {
  readonly fresh: number | null;
  readonly refresh: number | null;
  readonly expires: number | null;
  readonly isMutable: boolean;
  readonly size: number;
}

type LeaseReply = readonly [
  root: Buffer,
  generations: readonly Buffer[],
  leases: readonly (readonly [gate: Buffer, entry: EntryReply | null])[],
];

const capabilities = { counters: true, compareAndSet: true, shared: true } as const;

/** How long a load may take for its value to be kept. */
const leaseTerm = 10 * 60_000;
/** A tag must outlive what has it, but not stay for ever: so neither does that. */
const longestTagged = 30 * 86_400_000;
/** With a clock of one's own, Redis cannot know when to drop an entry: it keeps it so much longer than by its own time. */
const clockSlack = 10 * 60_000;
/** Keys in one step of the server, which does nothing else meanwhile. */
const batch = 200;

const classify = redisClassifier({
  NOPERM: 'Redis denies it to this user: grant the rights listed in docs/cache-redis.md',
  OOM: 'Redis is full, and its maxmemory-policy lets it drop nothing: give it more maxmemory, or a policy such as allkeys-lru',
  WRONGTYPE: 'somebody else keeps other things under the prefix of this cache: give it its own',
});

/** Entries in Redis. What is where, and what makes it safe: `scripts.ts`. */
export class RedisCacheDriver implements CacheDriver {
  readonly adapter = 'redis';
  readonly capabilities: typeof capabilities = capabilities;
  readonly classify: Classify = classify;
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #isServerTime: boolean;
  // Texts that were never used before: this process's own, and a number.
  readonly #origin = randomBytes(12).toString('base64url');
  #count = 0;
  #sweep: Promise<void> = Promise.resolve();
  readonly #closed = new AbortController();

  constructor({ connection, prefix, clock = systemClock }: RedisDriverOptions) {
    this.#connection = connection;
    this.#prefix = `{${prefix}}`;
    this.#clock = clock;
    this.#isServerTime = clock === systemClock;
  }

  /** The client of node-redis, once it was connected. It is another one after a connection broke, unless it was given. */
  get native(): RedisClient | undefined {
    return this.#connection.client;
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.#connection.open(signal);
    // Rights that are missing show now.
    await this.#run(readScript, [' '], [' '], signal);
  }

  async checkHealth(signal?: AbortSignal): Promise<void> {
    await this.#connection.send(['PING'], signal);
  }

  async drain(signal?: AbortSignal): Promise<void> {
    await (signal ? abortable(this.#sweep, signal) : this.#sweep);
  }

  async close(): Promise<void> {
    this.#closed.abort(new DOMException('the cache was closed', 'AbortError'));
    this.#connection.close();
    await this.#sweep;
  }

  async get(
    keys: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly (StoredEntry | undefined)[]> {
    const replies = await Promise.all(
      batches(keys).map(
        async (some) =>
          (await this.#run(readScript, some, some, signal)) as readonly (EntryReply | null)[],
      ),
    );
    return replies.flat().map((reply) => this.#entryOf(reply));
  }

  async set(writes: readonly CacheWrite[], signal?: AbortSignal): Promise<readonly boolean[]> {
    return await Promise.all(
      writes.map(async ({ key, entry, condition }) => {
        const args = [
          key,
          encodeValue(entry.value),
          this.#factsOf(entry),
          JSON.stringify(conditionOf(condition, entry.tags)),
        ];
        return (await this.#run(writeScript, [key], args, signal)) === 1;
      }),
    );
  }

  async lease(
    keys: readonly string[],
    tags: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly CacheLease[]> {
    const leases = await Promise.all(
      batches(keys).map(async (some) => {
        const args = [String(leaseTerm), JSON.stringify(tags), ...some];
        const reply = (await this.#run(leaseScript, some, args, signal)) as LeaseReply;
        return some.map((key, index) => this.#leaseOf(key, tags, reply, index));
      }),
    );
    return leases.flat();
  }

  async holds(leases: readonly CacheLease[], signal?: AbortSignal): Promise<readonly boolean[]> {
    const keys = leases.map(({ key }) => key);
    const conditions = leases.map((lease) => JSON.stringify(conditionOf({ lease }, [])));
    const args = keys.flatMap((key, index) => [key, conditions[index] as string]);
    const held = (await this.#run(holdsScript, keys, args, signal)) as readonly number[];
    return held.map((each) => each === 1);
  }

  /** Nothing to give back: a lease is a note of what was there, and its gate ends by itself. */
  async release(): Promise<void> {
    return await Promise.resolve();
  }

  async delete(keys: readonly string[], signal?: AbortSignal): Promise<number> {
    const counts = await Promise.all(
      batches(keys).map(
        async (some) => (await this.#run(deleteScript, some, some, signal)) as number,
      ),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async deleteByTags(tags: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.#connection.send(['DEL', ...tags.map((tag) => `${this.#prefix}:t:${tag}`)], signal);
  }

  /** Everything is void once the root is gone. What it leaves behind is swept up afterwards; most of it would also expire by itself. */
  async clear(signal?: AbortSignal): Promise<void> {
    await this.#connection.send(['DEL', `${this.#prefix}:root`], signal);
    this.#sweep = this.#sweep.then(async () => await this.#sweepUp().catch(() => undefined));
  }

  async increment(
    key: string,
    { by, initial }: CounterStep,
    signal?: AbortSignal,
  ): Promise<number | undefined> {
    // `+ 0`, since a counter has no minus zero.
    const args = [key, String(by + 0), this.#factsOf(initial)];
    const sum = (await this.#run(incrementScript, [key], args, signal)) as Buffer | null;
    return sum === null ? undefined : Number(sum.toString());
  }

  async #sweepUp(): Promise<void> {
    const { signal } = this.#closed;
    const pattern = `${this.#prefix.replaceAll(/[*?[\]\\^-]/g, String.raw`\$&`)}:e:*`;
    let cursor = '0';
    do {
      const scan = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', '1000'];
      const [next, names] = (await this.#connection.send(scan, signal)) as [Buffer, Buffer[]];
      for (const some of batches(names))
        await this.#connection.run(sweepScript, some, [...this.#head(), ...some], signal);
      cursor = next.toString();
    } while (cursor !== '0');
  }

  async #run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    // Of what a script touches, the names that are known beforehand; a cluster finds the slot by them, and an ACL checks them.
    const names = keys.map((key) => `${this.#prefix}:e:${key}`);
    return await this.#connection.run(script, names, [...this.#head(), ...args], signal);
  }

  /** The arguments that every script begins with: prefix, time (the server's when empty), and a text never used before. */
  #head(): string[] {
    this.#count += 1;
    const now = this.#isServerTime ? '' : String(this.#clock.now());
    return [this.#prefix, now, `${this.#origin}${this.#count.toString(36)}`];
  }

  // Times go over the wire as milliseconds from now, so that no two clocks are ever compared.
  #factsOf({ freshUntil, refreshAt, expiresAt, isMutable, size, tags }: CacheEntry): string {
    const now = this.#clock.now();
    const left = (time: number): number | null => (time === Infinity ? null : time - now);
    const fresh = left(freshUntil);
    const info: Info = {
      fresh,
      refresh: left(refreshAt),
      expires: left(expiresAt),
      isMutable,
      size,
    };
    const spare = this.#isServerTime || expiresAt <= now ? 0 : clockSlack;
    const life = Math.min(expiresAt - now + spare, tags.length === 0 ? Infinity : longestTagged);
    return JSON.stringify({
      info: JSON.stringify(info),
      fresh: String(fresh ?? ''),
      life: life === Infinity ? false : Math.ceil(life),
      tags,
    });
  }

  #entryOf(reply: EntryReply | null): StoredEntry | undefined {
    if (reply === null) return undefined;
    const [payload, version, age, json, tagged] = reply;
    const decoded = decodeValue(payload);
    if (decoded === undefined) return undefined;
    const { fresh, refresh, expires, isMutable, size } = JSON.parse(json.toString()) as Info;
    const writtenAt = this.#clock.now() - age;
    const at = (term: number | null): number => (term === null ? Infinity : writtenAt + term);
    return {
      // What cannot be frozen is copied for each reader anyway.
      value: isMutable ? decoded.value : freezeDeeply(decoded.value),
      isMutable,
      size,
      freshUntil: at(fresh),
      refreshAt: at(refresh),
      expiresAt: at(expires),
      tags: tagsOf(tagged).map(([tag]) => tag),
      version: version.toString(),
    };
  }

  #leaseOf(
    key: string,
    tags: readonly string[],
    [root, generations, leases]: LeaseReply,
    index: number,
  ): RedisLease {
    const [gate, entry] = leases[index] as LeaseReply[2][number];
    return {
      key,
      entry: this.#entryOf(entry),
      root: root.toString(),
      gate: gate.toString(),
      tags,
      generations: new Map([
        ...(entry ? tagsOf(entry[4]) : []),
        ...tags.map((tag, at) => [tag, String(generations[at])] as const),
      ]),
    };
  }
}

/** Tags with their generations. */
function tagsOf(json: Buffer): readonly (readonly [tag: string, generation: string])[] {
  // Most have none.
  return json.length === 2 ? [] : (JSON.parse(json.toString()) as [string, string][]);
}

function conditionOf(
  condition: CacheWrite['condition'],
  tags: readonly string[],
): Readonly<Record<string, unknown>> {
  if (condition === undefined) return { kind: 'none' };
  if ('version' in condition) return { kind: 'version', version: condition.version ?? false };
  const lease = condition.lease as RedisLease;
  const fenced = new Set([...lease.tags, ...tags]);
  return {
    kind: 'lease',
    root: lease.root,
    gate: lease.gate,
    // A tag without a generation was not there when the lease was taken: the write is refused.
    fences: Array.from(fenced, (tag) => [tag, lease.generations.get(tag) ?? '']),
  };
}

function batches<Item>(items: readonly Item[]): Item[][] {
  const all: Item[][] = [];
  for (let start = 0; start < items.length; start += batch)
    all.push(items.slice(start, start + batch));
  return all;
}
