/** A whole number of at most 64 bits, as a number where that is safe. */
export function parseInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** Parses JSON; as of the whole numbers of columns, no digit of one is lost. */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === 'number' && /^-?\d{16,}$/.test(context?.source ?? '')
      ? parseInteger(context?.source ?? '')
      : value;
  return JSON.parse(text, exact);
}

/** A list of texts, numbers or bigints as JSON. By hand, since JSON.stringify takes no bigint. */
export function jsonArray(values: readonly unknown[]): string {
  return `[${values.map((value) => (typeof value === 'bigint' ? value.toString() : JSON.stringify(value))).join()}]`;
}
