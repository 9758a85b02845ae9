import { createHash } from 'node:crypto';

import { invalidArgument } from '../core/index.ts';
import type { Order, Shape } from './condition.ts';
import { checkValue } from './row.ts';

type Encoded = null | boolean | string | number | readonly ['bigint' | 'date', string];

/** The place of an entity in an order, as text that can stand in a URL. */
export function encodeCursor(order: readonly Order[], values: readonly unknown[]): string {
  const body = JSON.stringify([fingerprint(order), ...values.map((value) => encodeValue(value))]);
  return Buffer.from(checksum(body) + body).toString('base64url');
}

/**
 * The values of a cursor. Throws `invalid-argument` for one that is damaged or belongs to another order. The checksum finds
 * damage; it is no signature: whoever makes up a cursor only gets another place in what the criteria let through anyway.
 */
export function decodeCursor(
  cursor: unknown,
  order: readonly Order[],
  shape: Shape,
): readonly unknown[] {
  const text = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  const body = text.slice(checksumLength);
  // Decoding skips what is no base64url, so the cursor must also be what its own content encodes to.
  if (checksum(body) + body !== text || Buffer.from(text).toString('base64url') !== cursor) {
    throw invalidArgument(
      shape.origin,
      'this page cursor is damaged: pass on the `next` of the page before as it is',
    );
  }
  const [made, ...values] = parse(body);
  if (made !== fingerprint(order) || values.length !== order.length) {
    throw invalidArgument(
      shape.origin,
      'this page cursor was made with another orderBy: start again without `after`',
    );
  }
  return values.map((value, index) => {
    const decoded = decodeValue(value);
    if (decoded !== undefined) return checkValue(order[index]?.field ?? '', decoded, shape);
    throw invalidArgument(
      shape.origin,
      'this page cursor is damaged: pass on the `next` of the page before as it is',
    );
  });
}

const checksumLength = 8;

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, checksumLength);
}

function fingerprint(order: readonly Order[]): string {
  return order.map(({ field, direction }) => `${direction} ${field}`).join();
}

function parse(body: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(body);
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}

function encodeValue(value: unknown): Encoded {
  if (typeof value === 'bigint') return ['bigint', value.toString()];
  if (value instanceof Date) return ['date', value.toISOString()];
  return (value ?? null) as Encoded;
}

function decodeValue(value: unknown): unknown {
  if (!Array.isArray(value)) return typeof value === 'object' && value !== null ? undefined : value;
  const [kind, text] = value as readonly unknown[];
  if (kind === 'bigint' && typeof text === 'string' && /^-?\d{1,19}$/.test(text))
    return BigInt(text);
  if (kind === 'date' && typeof text === 'string') return new Date(text);
  return undefined;
}
