const stale = new WeakSet();

/**
 * Whether a statement failed only since it had been prepared before the schema changed, or since whoever stands between here and
 * the server lost it: run again, it is prepared anew.
 */
export function isStale(error: unknown): boolean {
  return error instanceof Error && stale.has(error);
}

/** What a statement that was prepared earlier fails with when the schema has changed, beside a result of another shape. */
const states: ReadonlySet<unknown> = new Set([
  '26000', // no such prepared statement
  '42703', // no such column
  '42804', // another type
  '42883', // no such function or operator
  '42P01', // no such table
]);

/** Notes an error of a statement that had been prepared earlier, where that may be the reason. */
export function noteIfStale(error: Error): void {
  const { code, routine } = error as { readonly code?: unknown; readonly routine?: unknown };
  if (states.has(code) || (code === '0A000' && routine === 'RevalidateCachedQuery'))
    stale.add(error);
}
