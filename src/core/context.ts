import { AsyncLocalStorage } from 'node:async_hooks';

/**
 * What is known of the work under way. It follows every await, and rides inside job and message envelopes, so one request
 * is one trace through database, queue, storage, mail and push.
 */
export interface Context {
  readonly requestId?: string;
  readonly tenant?: string;
  /** W3C Trace Context header value, `00-<trace id>-<span id>-<flags>` (https://www.w3.org/TR/trace-context/). */
  readonly traceparent?: string;
  /** Aborted when the work that this context belongs to is cancelled. Does not travel in envelopes. */
  readonly signal?: AbortSignal;
}

/** The part of a {@link Context} that can be written down. */
export type ContextEnvelope = Omit<Context, 'signal'>;

const storage = new AsyncLocalStorage<Context>();
const none: Context = Object.freeze({});
/** By each nested context, the one around all of them. */
const outermost = new WeakMap<Context, Context>();

/** The context of the work under way; empty outside of any. */
export function currentContext(): Context {
  return storage.getStore() ?? none;
}

/** Runs `fn` with these fields added to the current context. */
export function runWithContext<Result>(fields: Context, fn: () => Result): Result {
  const current = storage.getStore();
  // An object of its own each time, since it stands for the work: see `contextKey`.
  const next = { ...current, ...fields };
  if (current !== undefined) outermost.set(next, outermost.get(current) ?? current);
  return storage.run(next, fn);
}

/**
 * An object that stands for the whole of the work under way, however many contexts are nested in it: the one that the outermost
 * {@link runWithContext} made. Undefined outside of any. The key of a WeakMap for what is remembered of that work.
 */
export function contextKey(): object | undefined {
  const current = storage.getStore();
  return current && (outermost.get(current) ?? current);
}

/** The current context as data for an envelope; `undefined` when there is nothing to carry. */
export function contextEnvelope(): ContextEnvelope | undefined {
  const { requestId, tenant, traceparent } = currentContext();
  if (requestId === undefined && tenant === undefined && traceparent === undefined)
    return undefined;
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}
