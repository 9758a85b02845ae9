import { deserialize, serialize } from 'node:v8';

// The first byte says how the rest is written: `J` for JSON, which people and scripts can read too, `V` for V8's own form, which knows
// every kind of data that a cache keeps.
const json = 'J'.charCodeAt(0);
const v8 = 'V'.charCodeAt(0);

/** A sealed value as bytes. */
export function encodeValue(value: unknown): Buffer {
  if (Object.is(value, -0)) return Buffer.from('J-0');
  return isJson(value)
    ? Buffer.from(`J${JSON.stringify(value)}`)
    : Buffer.concat([Buffer.of(v8), serialize(value)]);
}

/** The value of bytes that {@link encodeValue} gave; nothing for bytes of a form that this version of Node or of this package does not know. */
export function decodeValue(bytes: Buffer): { readonly value: unknown } | undefined {
  try {
    if (bytes[0] === json) return { value: JSON.parse(bytes.toString('utf8', 1)) as unknown };
    if (bytes[0] === v8) return { value: deserialize(bytes.subarray(1)) as unknown };
  } catch {
    // A newer version wrote it.
  }
  return undefined;
}

/** Freezes plain data that nobody else holds yet. */
export function freezeDeeply<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) freezeDeeply(item);
    Object.freeze(value);
  }
  return value;
}

/** Whether JSON gives a value back as it was. */
function isJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      if (value === null) return true;
      if (Array.isArray(value)) return value.every(isJson);
      return isRecord(value) && Object.values(value).every(isJson);
    default:
      return false;
  }
}

function isRecord(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype;
}
