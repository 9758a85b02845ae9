import { invalidArgument } from '../../core/index.ts';

const origin = { component: 'database' } as const;

/** Parameters in one statement, at most: the protocol counts them in 16 bits. */
const mostParameters = 65_535;

/** A parameter as it goes over the wire: as text, whose type the server infers from its place, or as bytes. */
export type WireValue = string | Buffer | null;

/**
 * What PostgreSQL is sent for each JavaScript value; anything else is refused, and nothing is changed silently:
 * - string: text; one with NUL or a lone surrogate is refused, which PostgreSQL cannot hold
 * - number, bigint: its digits; a column that is too small for them refuses them
 * - boolean: `true` or `false`
 * - Date: ISO 8601 in UTC; an invalid one is refused
 * - Uint8Array and other views, ArrayBuffer: bytea
 * - array: an array of these
 * - null: null
 */
export function toPostgresValues(parameters: readonly unknown[]): WireValue[] {
  if (parameters.length > mostParameters)
    throw invalidArgument(
      origin,
      `the statement has ${parameters.length} parameters, and PostgreSQL takes ${mostParameters}: run it for fewer rows at a time, or give a list as one array`,
    );
  return parameters.map((value, index) => toPostgresValue(value, index));
}

function toPostgresValue(value: unknown, index: number): WireValue {
  if (value === null) return null;
  if (Array.isArray(value)) return arrayLiteral(value, index);
  return bytesOf(value) ?? textOf(value, index);
}

function bytesOf(value: unknown): Buffer | undefined {
  if (ArrayBuffer.isView(value))
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return value instanceof ArrayBuffer ? Buffer.from(value) : undefined;
}

function textOf(value: unknown, index: number): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        throw refused(
          index,
          'text with a lone surrogate, which has no UTF-8: call toWellFormed() or store the bytes',
        );
      if (value.includes('\0'))
        throw refused(index, 'text with NUL, which PostgreSQL cannot hold: store the bytes');
      return value;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'undefined':
      throw refused(index, 'undefined: pass null if that is meant');
    case 'object':
      if (value instanceof Date) {
        if (Number.isNaN(value.getTime())) throw refused(index, 'an invalid Date');
        return value.toISOString();
      }
      throw refused(index, 'an object: pass JSON.stringify() of it');
    case 'function':
    case 'symbol':
    default:
      throw refused(index, `a ${typeof value}`);
  }
}

// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
function arrayLiteral(elements: readonly unknown[], index: number): string {
  const written = elements.map((element) => {
    if (element === null) return 'NULL';
    if (Array.isArray(element)) return arrayLiteral(element, index);
    const bytes = bytesOf(element);
    const text = bytes === undefined ? textOf(element, index) : `\\x${bytes.toString('hex')}`;
    return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  });
  return `{${written.join()}}`;
}

// The value itself stays out of the message.
function refused(index: number, what: string): Error {
  return invalidArgument(origin, `parameter ${index + 1} is ${what}`, { parameter: index + 1 });
}
