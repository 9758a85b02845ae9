/** Awaits what somebody waits for: a clock's sleep by itself lets the process end, in the middle of a script's only statement. */
export async function foreground<Result>(wait: Promise<Result>): Promise<Result> {
  const hold = setInterval(() => undefined, 2 ** 30);
  try {
    return await wait;
  } finally {
    clearInterval(hold);
  }
}
