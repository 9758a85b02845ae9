import {
  type CallOptions,
  type Clock,
  currentContext,
  type Duration,
  toMilliseconds,
} from '../core/index.ts';

/** Runs it with the caller's signal, which is aborted as a deadline once the time is up. Without a timeout the options are passed on as they are. */
export async function withTimeout<
  Options extends CallOptions & { readonly timeout?: Duration | undefined },
  Result,
>(options: Options, clock: Clock, fn: (options: Options) => Promise<Result>): Promise<Result> {
  const { timeout, signal = currentContext().signal } = options;
  if (timeout === undefined) return await fn(options);
  const milliseconds = toMilliseconds(timeout);
  const ending = new AbortController();
  const done = new AbortController();
  const follow = (): void => {
    ending.abort(signal?.reason);
  };
  if (signal?.aborted) follow();
  signal?.addEventListener('abort', follow, { once: true });
  const expire = async (): Promise<void> => {
    await clock.sleep(milliseconds, done.signal);
    ending.abort(new DOMException(`it was not done within ${milliseconds} ms`, 'TimeoutError'));
  };
  expire().catch(() => undefined);
  try {
    return await fn({ ...options, signal: ending.signal });
  } finally {
    done.abort();
    signal?.removeEventListener('abort', follow);
  }
}
