import { InfrastructureError } from '../../core/index.ts';
import { abortedBefore } from '../aborted.ts';
import type { StatementResult } from '../driver.ts';
import { withoutValues } from '../postgres-sql/classify.ts';
import type { WireValue } from '../postgres-sql/parameters.ts';
import type { AnswerOptions, ExecuteOptions, SqlSession } from '../postgres-sql/session.ts';
import { readsFromClient } from '../postgres-sql/statements.ts';
import type { Engine } from './engine.ts';
import { type Answer, batchMessage, scriptMessage, statementMessage } from './messages.ts';

const origin = { component: 'database', adapter: 'pglite' } as const;

/** Rows of a batch that go in one message: nothing else happens in this process until it is done. */
const batchSize = 1000;

/** The engine's one connection while somebody has it. */
export class PgliteSession implements SqlSession {
  readonly #engine: Engine;
  readonly #onRelease: () => void;
  readonly #pending = new Set<Promise<unknown>>();
  #isInterrupted = false;
  #isReleased = false;

  constructor(engine: Engine, onRelease: () => void) {
    this.#engine = engine;
    this.#onRelease = onRelease;
  }

  get inTransaction(): boolean {
    return this.#engine.inTransaction;
  }

  async execute(
    sql: string,
    values: WireValue[] = [],
    options: ExecuteOptions = {},
  ): Promise<StatementResult> {
    refuseCopy(sql);
    const { rows, tags } = await this.#send(statementMessage(sql, values), options);
    const [, affected] = /^(?:INSERT|UPDATE|DELETE|MERGE)\b.* (\d+)$/.exec(tags[0] ?? '') ?? [];
    return affected === undefined ? { rows } : { rows, numAffectedRows: BigInt(affected) };
  }

  async executeMany(
    sql: string,
    rows: readonly WireValue[][],
    options: AnswerOptions = {},
  ): Promise<number> {
    let affected = 0;
    for (let start = 0; start < rows.length; start += batchSize) {
      const message = batchMessage(sql, rows.slice(start, start + batchSize));
      const { tags } = await this.#send(message, options);
      for (const tag of tags) affected += Number(/\d+$/.exec(tag)?.[0] ?? 0);
    }
    return affected;
  }

  async script(text: string, options: AnswerOptions = {}): Promise<void> {
    refuseCopy(text);
    await this.#send(scriptMessage(text), options);
  }

  async commit(signal?: AbortSignal): Promise<boolean> {
    const { tags } = await this.#send(statementMessage('commit', []), { signal });
    return tags[0] === 'COMMIT';
  }

  /** What runs cannot be cancelled, and is done by now; what waits behind it is refused. */
  async interrupt(): Promise<void> {
    if (this.#pending.size === 0) return;
    this.#isInterrupted = true;
    await Promise.allSettled(this.#pending);
    this.#isInterrupted = false;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#pending.size === 0 && !this.#engine.isUntidy) this.#onRelease();
    else void this.#tidyAndRelease();
  }

  async #tidyAndRelease(): Promise<void> {
    try {
      await this.interrupt();
      await this.#engine.tidy();
    } catch {
      // Then the engine has ended, which its next user is told.
    } finally {
      this.#onRelease();
    }
  }

  async #send(message: Uint8Array, { signal, rowMode }: ExecuteOptions): Promise<Answer> {
    const sent = this.#engine.send(message, {
      rowMode,
      before: () => {
        if (this.#isInterrupted) throw interrupted();
        if (signal?.aborted) throw abortedBefore(signal);
      },
    });
    this.#pending.add(sent);
    try {
      const answer = await sent;
      if (answer.error !== undefined) throw withoutValues(answer.error);
      return answer;
    } finally {
      this.#pending.delete(sent);
    }
  }
}

/** The engine would wait for data that cannot come, and end. */
function refuseCopy(sql: string): void {
  // Looking at the whole text costs more than a short statement itself.
  if (!/\bstdin\b/i.test(sql) || !readsFromClient(sql)) return;
  throw new InfrastructureError({
    code: 'unimplemented',
    ...origin,
    message: 'copy … from stdin has nothing to read from: write rows by executeMany()',
  });
}

function interrupted(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    ...origin,
    message: 'the transaction ended before the turn of this statement came',
  });
}
