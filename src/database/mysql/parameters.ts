import type { TypedParameterValue } from 'mysql2';

import { invalidArgument } from '../../core/index.ts';
import { mysql } from './mysql.ts';

const origin = { component: 'database', adapter: 'mysql' } as const;

/** Parameters in one statement, at most: the protocol counts them in 16 bits. */
export const mostParameters = 65_535;

/** A parameter as it goes over the wire, beside the statement and never as a part of it. */
export type WireValue = string | Buffer | null | TypedParameterValue;

const { DOUBLE, LONGLONG, NEWDECIMAL } = mysql.TypedParameter;

/**
 * What MySQL is sent for each JavaScript value; anything else is refused, and nothing is changed silently:
 * - string: text; one with a lone surrogate is refused, which has no UTF-8
 * - number, bigint: itself, a whole one as such; a column that is too small for it refuses it. NaN and the infinite are refused,
 *   which MySQL cannot hold; so can it no negative zero, which is zero to it
 * - boolean: 1 or 0
 * - Date: `2026-01-02 03:04:05.678`, in UTC; an invalid one is refused, and one outside of the years 0 to 9999
 * - Uint8Array and other views, ArrayBuffer: bytes
 * - null: null
 */
export function toMysqlValues(parameters: readonly unknown[]): WireValue[] {
  if (parameters.length > mostParameters)
    throw invalidArgument(
      origin,
      `the statement has ${parameters.length} parameters, and MySQL takes ${mostParameters}: run it for fewer rows at a time, or give a list as one JSON array`,
    );
  return parameters.map((value, index) => toMysqlValue(value, index));
}

function toMysqlValue(value: unknown, index: number): WireValue {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        throw refused(
          index,
          'text with a lone surrogate, which has no UTF-8: call toWellFormed() or store the bytes',
        );
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw refused(index, `${value}, which MySQL cannot hold`);
      // `mysql2` would send a whole number as one with a fraction, which is compared inexactly and is no LIMIT.
      return Number.isSafeInteger(value) ? LONGLONG(value) : DOUBLE(value);
    case 'bigint':
      return bigintOf(value);
    case 'boolean':
      return LONGLONG(value ? 1 : 0);
    case 'undefined':
      throw refused(index, 'undefined: pass null if that is meant');
    case 'object':
      return value === null ? null : objectOf(value, index);
    case 'function':
    case 'symbol':
    default:
      throw refused(index, `a ${typeof value}`);
  }
}

function bigintOf(value: bigint): WireValue {
  if (BigInt.asIntN(64, value) === value) return LONGLONG(value);
  if (BigInt.asUintN(64, value) === value) return LONGLONG.unsigned(value);
  return NEWDECIMAL(value.toString());
}

function objectOf(value: object, index: number): WireValue {
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw refused(index, 'an invalid Date');
    const text = value.toISOString();
    if (!/^\d{4}-/.test(text)) throw refused(index, 'a Date outside of the years 0 to 9999');
    return text.replace('T', ' ').replace('Z', '');
  }
  if (Array.isArray(value))
    throw refused(index, 'an array, which MySQL does not have: pass JSON.stringify() of it');
  throw refused(index, 'an object: pass JSON.stringify() of it');
}

// The value itself stays out of the message, unless it is no more than a name of what is refused.
function refused(index: number, what: string): Error {
  return invalidArgument(origin, `parameter ${index + 1} is ${what}`, { parameter: index + 1 });
}
