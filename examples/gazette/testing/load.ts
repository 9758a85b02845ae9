import { setTimeout as wait } from 'node:timers/promises';

/** How often each status came. */
export type Statuses = Record<number, number>;

/** A page must say something by then, in whatever state the engines are. Its own deadline is shorter: see app.ts. */
export const answerWithinMs = 15_000;

/** Does some work over and over until the time is over, with a rest between. */
export async function repeatFor(
  durationMs: number,
  work: (round: number) => Promise<void>,
): Promise<void> {
  const end = Date.now() + durationMs;
  for (let round = 0; Date.now() < end; round += 1) {
    await work(round);
    await wait(50);
  }
}

/** Reads pages, all at once and over and over, in turn of each of the web processes. Rejects when one does not answer in time. */
export async function readFor<Name extends string>(
  durationMs: number,
  urls: readonly string[],
  addresses: Readonly<Record<Name, string>>,
): Promise<Record<Name, Statuses>> {
  const read = async (address: string): Promise<Statuses> => {
    const seen: Statuses = {};
    await repeatFor(durationMs, async (round) => {
      const signal = AbortSignal.timeout(answerWithinMs);
      const response = await fetch(`${urls[round % urls.length]}${address}`, { signal });
      await response.arrayBuffer();
      seen[response.status] = (seen[response.status] ?? 0) + 1;
    });
    return seen;
  };
  const names = Object.entries<string>(addresses);
  const seen = await Promise.all(
    names.map(async ([name, address]) => [name, await read(address)] as const),
  );
  // The names are those of the addresses.
  return Object.fromEntries(seen) as Record<Name, Statuses>;
}
