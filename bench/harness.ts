import { availableParallelism } from 'node:os';

/** One way to do a case's work. */
export interface Variant {
  /** `underpin`, `limit` (a hand-written loop on the raw engine), or a peer's name with what is special about its setup. */
  readonly id: string;
  /** Does the work so many times over. */
  readonly run: (count: number) => void | Promise<void>;
  /** Puts back what the last run changed. Not timed. */
  readonly reset?: () => void | Promise<void>;
}

/** What a case must reach, in words of its own unit. */
export type Goal =
  | { readonly against: string; readonly ratioAtLeast: number }
  | { readonly against: string; readonly moreAtMost: number };

/** A case made ready. */
export interface OpenCase {
  readonly variants: readonly Variant[];
  readonly close?: () => void | Promise<void>;
}

/** One thing that is measured, with everyone who does it. */
export interface BenchCase {
  readonly id: string;
  readonly unit: 'ops/s' | 'MiB/s' | 'ns';
  /** How often a variant does the work in one round. */
  readonly count: number;
  /** How many units one time of the work is worth, such as the MiB of a file. Default 1. */
  readonly worth?: number;
  readonly goals: readonly Goal[];
  /** Nanoseconds of a clock that only goes forward, such as that of the processor. Default `process.hrtime.bigint`. */
  readonly now?: () => bigint;
  readonly open: (peers: PeerModules) => OpenCase | Promise<OpenCase>;
}

/** Imports a module of the peer set, such as `./variants.ts`. */
export type PeerModules = (module: string) => Promise<unknown>;

/** What `bench/<component>.ts` exports as its default. */
export interface Bench {
  readonly component: string;
  /** The folder in `bench/peers` that holds the peers; none when there are no peers. */
  readonly peerSet?: string;
  /** What a reader of the figures should know. */
  readonly notes?: readonly string[];
  readonly cases: readonly BenchCase[];
}

/** A variant's figures, in the case's unit. */
export interface VariantResult {
  readonly id: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Of the whole process, at its highest after a round of this variant. */
  readonly rssMiB: number;
  /** Median of the rounds' ratios of `underpin` to this variant, so that above 1 `underpin` is the faster one. */
  readonly ratio: number;
}

/** A case's figures. */
export interface CaseResult {
  readonly id: string;
  readonly unit: BenchCase['unit'];
  readonly higherIsBetter: boolean;
  readonly variants: readonly VariantResult[];
  readonly goals: readonly (Goal & { readonly reached: number; readonly isMet: boolean })[];
}

/** A component's figures: what `--json` prints. */
export interface BenchResult {
  readonly component: string;
  readonly node: string;
  readonly machine: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly cases: readonly CaseResult[];
}

/** How a case is measured. */
export interface MeasureOptions {
  readonly rounds: number;
  /** Replaces each case's own. */
  readonly count?: number | undefined;
  /** In place of each case's own. */
  readonly now?: () => bigint;
}

/** The machine, as far as the figures depend on it. */
export function machine(): string {
  return `${availableParallelism()} cores`;
}

/**
 * Measures a case: its variants take turns (A B C, A B C, …), since the machine is never the same for long, and each ratio
 * is of one round. The first round only warms up.
 */
export async function measure(
  {
    id,
    unit,
    count: ownCount,
    worth = 1,
    goals,
    now: ownNow = () => process.hrtime.bigint(),
  }: BenchCase,
  { variants }: OpenCase,
  { rounds, count = ownCount, now = ownNow }: MeasureOptions,
): Promise<CaseResult> {
  const higherIsBetter = unit !== 'ns';
  const figures = new Map<string, number[]>(variants.map((variant) => [variant.id, []]));
  const memory = new Map<string, number>();
  for (let round = -1; round < rounds; round += 1) {
    for (const variant of variants) {
      await variant.reset?.();
      const start = now();
      await variant.run(count);
      const nanoseconds = Number(now() - start);
      memory.set(
        variant.id,
        Math.max(memory.get(variant.id) ?? 0, process.memoryUsage.rss() / 2 ** 20),
      );
      if (round < 0) continue;
      figures
        .get(variant.id)
        ?.push(higherIsBetter ? (count * worth * 1e9) / nanoseconds : nanoseconds / count);
    }
  }
  const own = figures.get('underpin') ?? [];
  const ratioTo = (other: readonly number[]): number =>
    median(
      own.map((value, round) =>
        higherIsBetter ? value / (other[round] ?? value) : (other[round] ?? value) / value,
      ),
    );
  return {
    id,
    unit,
    higherIsBetter,
    variants: variants.map((variant) => {
      const values = figures.get(variant.id) ?? [];
      return {
        id: variant.id,
        median: significant(median(values)),
        min: significant(Math.min(...values)),
        max: significant(Math.max(...values)),
        rssMiB: Math.round(memory.get(variant.id) ?? 0),
        ratio: significant(ratioTo(values)),
      };
    }),
    goals: goals.map((goal) => {
      const other = figures.get(goal.against) ?? [];
      if ('ratioAtLeast' in goal) {
        const reached = significant(ratioTo(other));
        return { ...goal, reached, isMet: reached >= goal.ratioAtLeast };
      }
      const reached = significant(
        median(own.map((value, round) => value - (other[round] ?? value))),
      );
      return { ...goal, reached, isMet: reached <= goal.moreAtMost };
    }),
  };
}

/** The middle value; the mean of both when there are two. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

// More digits than three would claim what no run here can show.
function significant(value: number): number {
  return Number(value.toPrecision(3));
}
