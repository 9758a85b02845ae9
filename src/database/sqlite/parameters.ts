import type { SQLInputValue } from 'node:sqlite';

import { invalidArgument } from '../../core/index.ts';

/**
 * What SQLite stores for each JavaScript value; anything else is refused, and nothing is changed silently:
 * - string: text, exactly, NUL included; a lone surrogate has no UTF-8 and is refused
 * - number: an integer when it is a safe one (`5` in a text column is `5`, not `5.0`), else a real; NaN is refused
 * - bigint: an integer, up to 64 bits with sign
 * - boolean: the integer 1 or 0
 * - Uint8Array and other views, ArrayBuffer: a blob
 * - null: null
 */
export function toSqliteValues(parameters: readonly unknown[]): SQLInputValue[] {
  const values: SQLInputValue[] = [];
  for (let index = 0; index < parameters.length; index += 1)
    values.push(toSqliteValue(parameters[index], index));
  return values;
}

const smallest = -(2n ** 63n);
const largest = 2n ** 63n - 1n;

function toSqliteValue(value: unknown, index: number): SQLInputValue {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed())
        throw refused(
          index,
          'text with a lone surrogate, which has no UTF-8: call toWellFormed() or store the bytes',
        );
      return value;
    case 'number':
      if (Number.isSafeInteger(value)) return BigInt(value);
      if (Number.isNaN(value))
        throw refused(index, 'NaN, which SQLite would store as null: pass null if that is meant');
      return value;
    case 'bigint':
      if (value < smallest || value > largest)
        throw refused(index, 'an integer of more than 64 bits: store it as text');
      return value;
    case 'boolean':
      return value ? 1n : 0n;
    case 'undefined':
      throw refused(index, 'undefined: pass null if that is meant');
    case 'object':
      if (value === null) return null;
      if (value instanceof Uint8Array) return value;
      if (ArrayBuffer.isView(value))
        return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      if (value instanceof ArrayBuffer) return new Uint8Array(value);
      if (value instanceof Date)
        throw refused(
          index,
          'a Date: pass toISOString() for text that sorts by time, or getTime() for milliseconds',
        );
      throw refused(index, 'an object: pass JSON.stringify() of it');
    case 'function':
    case 'symbol':
    default:
      throw refused(index, `a ${typeof value}`);
  }
}

// The value itself stays out of the message.
function refused(index: number, what: string): Error {
  return invalidArgument(
    { component: 'database', adapter: 'sqlite' },
    `parameter ${index + 1} is ${what}`,
    { parameter: index + 1 },
  );
}
