import type { ValueForm } from '../columns.ts';

/**
 * Values in Directus' JSON. Which form it gives depends on the database behind it: whole numbers of 64 bits and decimals come as text where
 * they might not fit, and booleans of a field without the cast as 0 and 1.
 */
export const directusValues: ValueForm = {
  encode(kind, value) {
    switch (kind) {
      case 'bigint':
        return String(value);
      case 'date':
        return (value as Date).toISOString();
      case 'bytes':
        return Buffer.from(value as Uint8Array).toString('base64');
      case 'text':
      case 'integer':
      case 'real':
      case 'boolean':
      case 'json':
      default:
        return value;
    }
  },

  decode(kind, kept) {
    const number = typeof kept === 'string' && kept !== '' ? Number(kept) : kept;
    switch (kind) {
      case 'text':
        return typeof kept === 'string' ? kept : undefined;
      case 'integer':
        return Number.isSafeInteger(number) ? number : undefined;
      case 'real':
        return Number.isFinite(number) ? number : undefined;
      case 'bigint':
        if (typeof kept === 'string') return /^-?\d{1,19}$/.test(kept) ? BigInt(kept) : undefined;
        return Number.isSafeInteger(kept) ? BigInt(kept as number) : undefined;
      case 'boolean':
        if (typeof kept === 'boolean') return kept;
        return kept === 0 || kept === 1 ? kept === 1 : undefined;
      case 'date': {
        // Without a zone, as Directus' DateTime is, it would be another moment on every machine.
        const isMoment = typeof kept === 'string' && /T.*(?:Z|[+-]\d\d:\d\d)$/.test(kept);
        // On SQLite, the very beginning of 1970 comes as the number that it is kept as.
        const date = new Date(isMoment || kept === 0 ? kept : Number.NaN);
        return Number.isNaN(date.getTime()) ? undefined : date;
      }
      case 'bytes': {
        const bytes = Buffer.from(String(kept), 'base64');
        return bytes.toString('base64') === kept ? Uint8Array.from(bytes) : undefined;
      }
      case 'json':
      default:
        return kept;
    }
  },
};
