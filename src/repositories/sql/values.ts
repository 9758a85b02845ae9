import type { SqlExpressions } from '../../database/index.ts';
import type { ValueForm } from '../columns.ts';

/** Values as parameters of an engine's statements, and as columns of their results. */
export const sqlValues = (expressions: SqlExpressions): ValueForm => ({
  encode(kind, value) {
    switch (kind) {
      case 'boolean':
        return value === true ? 1 : 0;
      case 'date':
        return expressions.time(value as Date);
      case 'json':
        return JSON.stringify(value);
      case 'text':
      case 'integer':
      case 'real':
      case 'bigint':
      case 'bytes':
      default:
        return value;
    }
  },

  decode(kind, kept) {
    switch (kind) {
      case 'text':
        return typeof kept === 'string' ? kept : undefined;
      case 'integer':
        return Number.isSafeInteger(kept) ? kept : undefined;
      case 'real':
        // A column of integer affinity gives large whole numbers as bigint.
        return typeof kept === 'number' || typeof kept === 'bigint' ? Number(kept) : undefined;
      case 'bigint':
        return typeof kept === 'bigint' || Number.isSafeInteger(kept)
          ? BigInt(kept as number | bigint)
          : undefined;
      case 'boolean':
        // Engines that have the type give it as such.
        if (typeof kept === 'boolean') return kept;
        return kept === 0 || kept === 1 ? kept === 1 : undefined;
      case 'date': {
        const date = new Date(typeof kept === 'string' ? inUtc(kept) : Number.NaN);
        return Number.isNaN(date.getTime()) ? undefined : date;
      }
      case 'bytes':
        return kept instanceof Uint8Array ? kept : undefined;
      case 'json':
      default:
        try {
          return JSON.parse(String(kept)) as unknown;
        } catch {
          return undefined;
        }
    }
  },
});

/** A time without a zone is one in UTC, as it was written, and not in this machine's zone. */
function inUtc(text: string): string {
  return /T[\d:.]+$/.test(text) ? `${text}Z` : text;
}
