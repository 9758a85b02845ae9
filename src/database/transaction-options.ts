import {
  type CallOptions,
  type Duration,
  type ErrorOrigin,
  InfrastructureError,
  invalidArgument,
  toMilliseconds,
} from '../core/index.ts';
import type { Isolation } from './driver.ts';
import type { TransactionScope } from './transaction-scope.ts';

/**
 * What a transaction does about the one that it is called in, if any:
 *
 * | propagation | inside of a transaction | outside of one |
 * | --- | --- | --- |
 * | `required` | a savepoint in it | a new one |
 * | `requires-new` | a new one on another connection, whatever becomes of the outer one, which waits | a new one |
 * | `mandatory` | a savepoint in it | refused |
 * | `not-supported` | no transaction; the outer one waits | no transaction |
 * | `never` | refused | no transaction |
 */
export type Propagation = 'required' | 'requires-new' | 'mandatory' | 'not-supported' | 'never';

/** Options of {@link Database.transaction}. */
export interface TransactionOptions extends CallOptions {
  /** What it does about the transaction that it is called in. Default `required`. */
  readonly propagation?: Propagation | undefined;
  /**
   * Refuses statements that write, as `permission-denied`, and sees one moment in time without being in a writer's way. One that is
   * nested is what the outermost is, and is refused as `failed-precondition` when it asks for the other. Default false.
   */
  readonly readOnly?: boolean | undefined;
  /**
   * How far it is kept apart from others, at least. Default: the database's own, which is `serializable` unless its adapter has an
   * option for it. A nested transaction has that of the outermost, and is refused as `failed-precondition` when it asks for more.
   */
  readonly isolation?: Isolation | undefined;
  /**
   * How often an outermost transaction is run again after a serialization failure or a deadlock (`aborted`). Default 10. Its
   * function runs anew each time.
   */
  readonly retries?: number | undefined;
  /** How long all of it may take, the waits and further attempts included: then it is undone, as `deadline-exceeded`. Default: no limit. */
  readonly timeout?: Duration | undefined;
}

const propagations: readonly string[] = [
  'required',
  'requires-new',
  'mandatory',
  'not-supported',
  'never',
] satisfies readonly Propagation[];

/** From the least to the most. */
const isolations: readonly string[] = [
  'read-committed',
  'repeatable-read',
  'serializable',
] satisfies readonly Isolation[];

/** Throws `invalid-argument` for options that make no sense, which types do not keep from coming out of a configuration. */
export function checkTransactionOptions(options: TransactionOptions, origin: ErrorOrigin): void {
  const { propagation, isolation, readOnly, retries, timeout } = options;
  if (propagation !== undefined && !propagations.includes(propagation))
    throw invalidArgument(origin, `propagation is none of ${propagations.join(', ')}`);
  if (isolation !== undefined && !isolations.includes(isolation))
    throw invalidArgument(origin, `isolation is none of ${isolations.join(', ')}`);
  if (readOnly !== undefined && typeof readOnly !== 'boolean')
    throw invalidArgument(origin, 'readOnly is neither true nor false');
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0))
    throw invalidArgument(origin, 'retries must be a whole number of at least 0');
  if (timeout !== undefined && toMilliseconds(timeout) === 0)
    throw invalidArgument(origin, 'timeout must be longer than 0: leave it out for no limit');
  if (propagation !== 'not-supported' && propagation !== 'never') return;
  const [unused] = Object.entries({ isolation, readOnly, retries }).find(
    ([, value]) => value !== undefined,
  ) ?? [undefined];
  if (unused !== undefined)
    throw invalidArgument(
      origin,
      `${unused} means nothing with the propagation ${propagation}, which begins no transaction`,
    );
}

/** Throws `failed-precondition` when a transaction nested in `outer` asks for what that is not. */
export function checkNested(
  outer: TransactionScope,
  { isolation, readOnly }: Pick<TransactionOptions, 'isolation' | 'readOnly'>,
  origin: ErrorOrigin,
): void {
  // Whatever is nested in a test's transaction is an outermost one where the test is not.
  if (outer.isForTest) return;
  const refuse = (problem: string): InfrastructureError =>
    new InfrastructureError({ code: 'failed-precondition', ...origin, message: problem });
  if (readOnly !== undefined && readOnly !== outer.isReadOnly)
    throw refuse(
      outer.isReadOnly
        ? 'the transaction around this one is read-only, so that this one cannot write: begin it outside, or with the propagation requires-new'
        : 'the transaction around this one writes, so that this one cannot be read-only: leave readOnly out, or use the propagation requires-new',
    );
  if (
    isolation !== undefined &&
    isolations.indexOf(isolation) > isolations.indexOf(outer.isolation)
  )
    throw refuse(
      `the transaction around this one is ${outer.isolation}, so that this one cannot be ${isolation}: ask for it there, or use the propagation requires-new`,
    );
}
