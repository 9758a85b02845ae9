import { parseInteger, parseJson } from '../exact-json.ts';
import { pg } from './pg.ts';

// Not among the names that `pg` knows.
const textArray: number = 1009;

type Parser = (text: string) => unknown;
type NestedTexts = readonly (string | null | NestedTexts)[];

// https://www.postgresql.org/docs/current/catalog-pg-type.html; `pg` knows the names of some only.
const oid = {
  bytea: 17,
  int8: 20,
  json: 114,
  jsonArray: 199,
  byteaArray: 1001,
  int8Array: 1016,
  date: 1082,
  timestamp: 1114,
  timestampArray: 1115,
  dateArray: 1182,
  timestamptz: 1184,
  timestamptzArray: 1185,
  interval: 1186,
  intervalArray: 1187,
  numericArray: 1231,
  jsonb: 3802,
  jsonbArray: 3807,
} as const;

const parseTextArray = pg.types.getTypeParser(textArray, 'text') as (text: string) => NestedTexts;
const parseBytes = pg.types.getTypeParser(oid.bytea, 'text') as (text: string) => Uint8Array;

const scalars: Readonly<Record<number, Parser>> = {
  [oid.int8]: parseInteger,
  // A copy: the one that is parsed may share its memory with others.
  [oid.bytea]: (text) => Uint8Array.from(parseBytes(text)),
  [oid.json]: parseJson,
  [oid.jsonb]: parseJson,
  [oid.date]: asText,
  [oid.timestamp]: isoTimestamp,
  [oid.timestamptz]: isoTimestamp,
  [oid.interval]: asText,
};

const arrays: Readonly<Record<number, Parser>> = {
  [oid.int8Array]: parseInteger,
  [oid.byteaArray]: scalars[oid.bytea] as Parser,
  [oid.jsonArray]: parseJson,
  [oid.jsonbArray]: parseJson,
  [oid.dateArray]: asText,
  [oid.timestampArray]: isoTimestamp,
  [oid.timestamptzArray]: isoTimestamp,
  [oid.intervalArray]: asText,
  [oid.numericArray]: asText,
};

/**
 * How values come back, where `pg` would change some: whole numbers of 64 bits as number where that is safe, else as bigint;
 * timestamps as ISO 8601 text with all their digits, in UTC where they have a zone; dates, intervals and numerics as
 * PostgreSQL writes them; bytes as Uint8Array; JSON parsed, with bigint for whole numbers that no number holds.
 */
export const resultTypes: { getTypeParser(type: number, format?: 'text' | 'binary'): Parser } = {
  getTypeParser(type, format) {
    const scalar = scalars[type];
    if (scalar !== undefined) return scalar;
    const element = arrays[type];
    if (element !== undefined) return (text) => parseElements(parseTextArray(text), element);
    return pg.types.getTypeParser(type, format ?? 'text') as Parser;
  },
};

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
