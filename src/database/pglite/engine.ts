import type { PGlite } from '@electric-sql/pglite';

import type { RowMode } from '../driver.ts';
import { type Answer, readAnswer, scriptMessage, statementMessage } from './messages.ts';
import { pglite } from './pglite.ts';

/** What the engine is opened with. */
export interface EngineOptions {
  /** An absolute path; undefined for memory. */
  readonly directory: string | undefined;
  /** A dumped data directory to begin with, where there is none yet. */
  readonly dump: Blob | undefined;
  readonly onNotification: (channel: string, payload: string) => void;
}

/** What a message is sent with. */
export interface SendOptions {
  readonly rowMode?: RowMode | undefined;
  /** Called when it is this message's turn; what it throws keeps it from being sent. */
  readonly before?: () => void;
}

/** The engine has ended by itself, as it does when it can write no more. */
export class EngineEnded extends Error {}

/** What the engine says when it refuses a data directory. */
export class EngineRefused extends Error {}

/** Messages after which the length of the log is looked at. */
const messagesBetweenLooks = 200;

/** The length of the write-ahead log, in bytes, beyond which it is cut: what is in it is read again after a crash. */
const longestLog = 64 * 1024 * 1024;

/**
 * PGlite, spoken to by PostgreSQL's protocol. It runs in this process, and is done with a message before anything else happens. It is
 * PostgreSQL for a single user, without the processes that stand beside a server: nothing cuts the log unless it is told to.
 */
export class Engine {
  readonly native: PGlite;
  readonly #complaints: string[];
  readonly #onNotification: EngineOptions['onNotification'];
  #status = 'I';
  #messages = 0;
  #ended: Error | undefined;

  private constructor(native: PGlite, complaints: string[], options: EngineOptions) {
    this.native = native;
    this.#complaints = complaints;
    this.#onNotification = options.onNotification;
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const { directory, dump } = options;
    const complaints: string[] = [];
    const onStderr = (line: string): boolean => {
      const [, said] = /\b(?:FATAL|PANIC|DETAIL):\s+(.*)/.exec(line) ?? [];
      if (said !== undefined && complaints.push(said) > 4) complaints.shift();
      return false;
    };
    try {
      const native = await pglite.PGlite.create({
        dataDir: directory === undefined ? 'memory://' : `file://${directory}`,
        ...(dump && { loadDataDir: dump }),
        relaxedDurability: false,
        onStderr,
        onStdout: () => false,
      });
      complaints.length = 0;
      return new Engine(native, complaints, options);
    } catch (error) {
      if (complaints.length === 0) throw error;
      throw new EngineRefused(complaints.join('; '), { cause: error });
    }
  }

  get inTransaction(): boolean {
    return this.#status !== 'I';
  }

  /** Sends a message after those before it. Throws {@link EngineEnded}, or what it was closed with. */
  async send(message: Uint8Array, { rowMode, before }: SendOptions = {}): Promise<Answer> {
    // PGlite's own functions, which an application may call, take several messages each.
    return await this.native.runExclusive(async () => {
      if (this.#ended !== undefined) throw this.#ended;
      before?.();
      this.#messages += 1;
      const chunks: Buffer[] = [];
      try {
        await this.native.execProtocolRawStream(message, {
          // A copy: it is a part of the engine's memory.
          onRawData: (chunk) => chunks.push(Buffer.from(chunk)),
        });
      } catch (error) {
        throw this.#end(error);
      }
      const answer = readAnswer(Buffer.concat(chunks), rowMode);
      if (answer.status === undefined) throw this.#end(answer.error);
      this.#status = answer.status;
      for (const { channel, payload } of answer.notifications)
        queueMicrotask(() => {
          this.#onNotification(channel, payload);
        });
      return answer;
    });
  }

  /** Rolls back what is open, and cuts the log when it has become long. Called when nobody uses the connection. */
  async tidy(): Promise<void> {
    if (this.inTransaction) await this.send(statementMessage('rollback', []));
    if (this.#messages < messagesBetweenLooks) return;
    this.#messages = 0;
    const length = 'pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)';
    const look = `select ${length} > ${longestLog} as long from pg_control_checkpoint()`;
    const { rows } = await this.send(statementMessage(look, []));
    if (rows[0]?.['long'] === true) await this.send(scriptMessage('checkpoint'));
  }

  /** Whether there is something to tidy. */
  get isUntidy(): boolean {
    return this.inTransaction || this.#messages >= messagesBetweenLooks;
  }

  /** Closes it; whoever still sends something gets this error. What is open is rolled back. */
  async close(reason: Error): Promise<void> {
    const hasEnded = this.#ended !== undefined;
    if (!hasEnded && this.inTransaction)
      await this.send(statementMessage('rollback', [])).catch(() => undefined);
    this.#ended = reason;
    // One that has ended by itself has nothing left to write.
    if (hasEnded) await this.native.close().catch(() => undefined);
    else await this.native.close();
  }

  #end(cause: unknown): EngineEnded {
    const why = this.#complaints.at(-1) ?? (cause instanceof Error ? cause.message : '');
    const ended = new EngineEnded(why, { cause });
    this.#ended = ended;
    this.#status = 'I';
    return ended;
  }
}
