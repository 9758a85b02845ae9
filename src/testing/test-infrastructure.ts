import type { Cache } from '../cache/index.ts';
import { memoryCache, type MemoryCacheDriver } from '../cache/memory.ts';
import {
  defineInfrastructure,
  type FakeClock,
  fakeClock,
  type RunningInfrastructure,
} from '../core/index.ts';
import { sqliteDatabase, type SqliteDatabase } from '../database/sqlite/index.ts';
import { createLogger, type Logger } from '../logging/index.ts';
import type { Mailer } from '../mail/index.ts';
import { memoryMailer, type MemoryMailDriver } from '../mail/memory.ts';
import type { PushSender } from '../push/index.ts';
import { memoryPush, type MemoryPushDriver } from '../push/memory.ts';
import type { JobQueue } from '../queue/index.ts';
import { sqlQueue, type SqlQueueDriver } from '../queue/sql/index.ts';
import type { FileStorage } from '../storage/index.ts';
import { memoryStorage, type MemoryStorageDriver } from '../storage/memory.ts';

/** One line that was logged, parsed. */
export type LoggedLine = Readonly<Record<string, unknown>> & {
  readonly level: string;
  readonly msg?: string;
};

/** The standard components, all in memory, with the names that `infrastructureFromEnv` gives them. */
export interface TestComponents<Tables = unknown> {
  /** The time of every component. It stands still until it is told to move. */
  readonly clock: FakeClock;
  readonly log: Logger;
  /** Every line that was logged, from level `debug` on. */
  readonly logged: readonly LoggedLine[];
  readonly database: SqliteDatabase<Tables>;
  readonly files: FileStorage<MemoryStorageDriver>;
  readonly cache: Cache<MemoryCacheDriver>;
  /** In the database, as by default in production, so that an enqueue takes part in its transactions. */
  readonly queue: JobQueue<SqlQueueDriver>;
  /** Iterate `mail.native.messages()` for what was sent. */
  readonly mail: Mailer<MemoryMailDriver>;
  /** Iterate `push.native.deliveries()` for what was sent. */
  readonly push: PushSender<MemoryPushDriver>;
}

/**
 * Starts the standard components in memory, for one test: nothing of it is shared with another, or left when it is stopped.
 * `extend` adds the application's own components, as that of `infrastructureFromEnv` does. The mailer sends from
 * `test@example.com` when a message names no sender.
 *
 * @example
 * await using app = await testInfrastructure();
 * await publish(app, article);
 * assert.equal((await Array.fromAsync(app.mail.native.messages())).length, 1);
 */
export async function testInfrastructure<Tables = unknown, Extension extends object = object>(
  extend?: (standard: TestComponents<Tables>) => Extension,
): Promise<RunningInfrastructure<TestComponents<Tables> & Extension>> {
  return await defineInfrastructure(() => {
    const standard = makeComponents<Tables>();
    // Without `extend` the extension is the type's default, which has nothing.
    return { ...standard, ...(extend?.(standard) as Extension) };
  }).start({ env: {} });
}

function makeComponents<Tables>(): TestComponents<Tables> {
  const clock = fakeClock();
  const logged: LoggedLine[] = [];
  const database = sqliteDatabase<Tables>({ file: ':memory:' });
  return {
    clock,
    log: createLogger({
      level: 'debug',
      clock,
      destination: { write: (line) => logged.push(JSON.parse(line) as LoggedLine) },
    }),
    logged,
    database,
    files: memoryStorage({ clock }),
    cache: memoryCache({ clock }),
    queue: sqlQueue({ database, clock }),
    mail: memoryMailer({ clock, from: 'test@example.com' }),
    push: memoryPush({ clock }),
  };
}
