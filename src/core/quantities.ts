import { InfrastructureError } from './errors.ts';

/** A length of time: milliseconds, or a number with its unit (`'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`). */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

/** A number of bytes, or a number with its binary unit (`'512B'`, `'64KiB'`, `'10MiB'`, `'1GiB'`). */
export type ByteSize = number | `${number}${'B' | 'KiB' | 'MiB' | 'GiB'}`;

const milliseconds: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const bytes: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function parse(
  value: number | string,
  units: Readonly<Record<string, number>>,
  what: string,
  examples: string,
): number {
  const [, amount, unit] =
    typeof value === 'string' ? (/^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(value) ?? []) : [];
  const factor = unit !== undefined && Object.hasOwn(units, unit) ? units[unit] : undefined;
  const result = typeof value === 'number' ? value : Number(amount) * (factor ?? Number.NaN);
  if (!Number.isFinite(result) || result < 0) {
    throw new InfrastructureError({
      code: 'invalid-argument',
      component: 'core',
      message: `${JSON.stringify(value)} is not a ${what}: give a number that is not negative, or one with a unit such as ${examples}`,
    });
  }
  return result;
}

/** Milliseconds of a {@link Duration}. Throws `invalid-argument` for anything that is not one. */
export function toMilliseconds(duration: Duration): number {
  return parse(duration, milliseconds, 'duration', `'250ms', '30s' or '5m'`);
}

/** Bytes of a {@link ByteSize}, rounded to a whole number. Throws `invalid-argument` for anything that is not one. */
export function toBytes(size: ByteSize): number {
  return Math.round(parse(size, bytes, 'byte size', `'64KiB' or '10MiB'`));
}
