import { parseInteger, parseJson } from '../exact-json.ts';

type Parser = (text: string) => unknown;
type NestedTexts = (string | null | NestedTexts)[];

/**
 * The types that are more than text, each with its array (https://www.postgresql.org/docs/current/catalog-pg-type.html). An array
 * that is not named here stays as PostgreSQL writes it.
 */
const types: readonly (readonly [scalar: number, array: number, parse: Parser])[] = [
  [16, 1000, (text) => text === 't'], // boolean
  [17, 1001, parseBytes], // bytea
  [20, 1016, parseInteger], // bigint
  [21, 1005, Number], // smallint
  [23, 1007, Number], // integer
  [26, 1028, Number], // oid
  [114, 199, parseJson], // json
  [600, 1017, parsePoint], // point
  [700, 1021, Number], // real
  [701, 1022, Number], // double precision
  [718, 719, parseCircle], // circle
  [1114, 1115, isoTimestamp], // timestamp
  [1184, 1185, isoTimestamp], // timestamp with time zone
  [3802, 3807, parseJson], // jsonb
];

/** Arrays of what comes back as text. */
const textArrays: readonly number[] = [
  651, // cidr
  791, // money
  1008, // regproc
  1009, // text
  1014, // character
  1015, // character varying
  1040, // macaddr
  1041, // inet
  1182, // date
  1183, // time
  1187, // interval
  1231, // numeric
  1270, // time with time zone
  2951, // uuid
  3907, // numrange
];

const parsers: ReadonlyMap<number, Parser> = new Map<number, Parser>([
  ...types.map(([scalar, , parse]) => [scalar, parse] as const),
  ...types.map(([, array, parse]) => [array, arrayOf(parse)] as const),
  ...textArrays.map((array) => [array, arrayOf(asText)] as const),
]);

/**
 * How values come back, whose text PostgreSQL writes: whole numbers of 64 bits as number where that is safe, else as bigint;
 * timestamps as ISO 8601 text with all their digits, in UTC where they have a zone; dates, intervals and numerics as
 * PostgreSQL writes them; bytes as Uint8Array; JSON parsed, with bigint for whole numbers that no number holds. Gives the function
 * that reads the type with this number.
 */
export function parserOf(type: number): Parser {
  return parsers.get(type) ?? asText;
}

function arrayOf(parse: Parser): Parser {
  return (text) => parseElements(parseArray(text), parse);
}

// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
const arrayToken = /[{}]|"((?:[^"\\]|\\.)*)"|[^{},"]+/gs;

/** The texts of an array's elements. Its bounds, where they are not from 1 on, stand before it and are left out. */
function parseArray(text: string): NestedTexts {
  const outermost: NestedTexts = [];
  const open: NestedTexts[] = [];
  for (const [token, quoted] of text.slice(text.indexOf('{')).matchAll(arrayToken)) {
    const current = open.at(-1);
    if (token === '{') {
      const inner = current === undefined ? outermost : [];
      current?.push(inner);
      open.push(inner);
    } else if (token === '}') open.pop();
    else if (quoted !== undefined) current?.push(quoted.replaceAll(/\\(.)/gs, '$1'));
    else current?.push(token === 'NULL' ? null : token);
  }
  return outermost;
}

/** In hexadecimal, or in what `bytea_output` calls `escape`. */
function parseBytes(text: string): Uint8Array {
  if (text.startsWith(String.raw`\x`)) return new Uint8Array(Buffer.from(text.slice(2), 'hex'));
  const unescaped = text.replaceAll(/\\(?:([0-3][0-7]{2})|\\)/g, (_, octal?: string) =>
    octal === undefined ? '\\' : String.fromCodePoint(Number.parseInt(octal, 8)),
  );
  return new Uint8Array(Buffer.from(unescaped, 'latin1'));
}

/** `(1,2)` */
function parsePoint(text: string): unknown {
  const [x, y] = text.slice(1, -1).split(',').map(Number);
  return { x, y };
}

/** `<(1,2),3>` */
function parseCircle(text: string): unknown {
  const [x, y, radius] = text
    .replaceAll(/[<>()]/g, '')
    .split(',')
    .map(Number);
  return { x, y, radius };
}

function parseElements(elements: NestedTexts, parse: Parser): unknown[] {
  return elements.map((element) => {
    if (element === null) return null;
    return typeof element === 'string' ? parse(element) : parseElements(element, parse);
  });
}

function asText(text: string): string {
  return text;
}

const timestamp =
  /^(\d{4,6}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:([+-]\d\d)(?::?(\d\d))?(?::?(\d\d))?)?$/;

/** What is no such time, as `infinity` or one before Christ, stays as PostgreSQL writes it. */
function isoTimestamp(text: string): string {
  const [, date, time, fraction = '', hours, minutes = '0', seconds = '0'] =
    timestamp.exec(text) ?? [];
  if (date === undefined || time === undefined) return text;
  // Three digits at least, as toISOString() writes.
  const digits = fraction.padEnd(3, '0');
  if (hours === undefined) return `${date}T${time}.${digits}`;
  const sign = hours.startsWith('-') ? -1 : 1;
  const offset = Number(hours) * 3600 + sign * Number(minutes) * 60 + sign * Number(seconds);
  if (offset === 0) return `${date}T${time}.${digits}Z`;
  const utc = new Date(`${date}T${time}Z`);
  if (Number.isNaN(utc.getTime())) return text;
  utc.setTime(utc.getTime() - offset * 1000);
  return `${utc.toISOString().slice(0, -5)}.${digits}Z`;
}
