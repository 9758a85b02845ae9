import { core } from './library.ts';

/** The part of a MikroORM platform that knows how values are written. */
export interface ValuePlatform {
  quoteIdentifier(name: string): string;
  /** What a moment is as a parameter. */
  dateParameter(date: Date): unknown;
}

/** A statement with the engine's own placeholders. */
export interface BoundStatement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/**
 * Gives a statement of MikroORM's the engine's placeholders, and its values as parameters: MikroORM itself would write them into the
 * text, which operations tell. `?` stands for a value, `??` for a name, and `\?` for a question mark.
 */
export function bind(
  sql: string,
  values: readonly unknown[],
  { platform, numbered }: { readonly platform: ValuePlatform; readonly numbered: boolean },
): BoundStatement {
  const parameters: unknown[] = [];

  function placeholder(value: unknown): string {
    parameters.push(value);
    return numbered ? `$${parameters.length}` : '?';
  }

  function one(value: unknown): string {
    if (core.isRaw(value)) return text(value.sql, value.params);
    // An embeddable is tagged as JSON, also when it is an array.
    if (core.Utils.isPlainObject(value) || isTaggedAsJson(value))
      return placeholder(JSON.stringify(value));
    if (Array.isArray(value)) return value.map(one).join(', ');
    if (value instanceof Date) return placeholder(platform.dateParameter(value));
    // A property without a value, where the engine has no keyword for the column's default.
    return placeholder(value ?? null);
  }

  function text(part: string, partValues: readonly unknown[]): string {
    if (partValues.length === 0) return part;
    let index = 0;
    return part.replaceAll(/\\\?|\?\??/g, (mark) => {
      if (mark === String.raw`\?`) return '?';
      const value = partValues[index];
      index += 1;
      if (mark === '?') return one(value);
      return core.isRaw(value)
        ? text(value.sql, value.params)
        : platform.quoteIdentifier(String(value));
    });
  }

  return { sql: text(sql, values), parameters };
}

function isTaggedAsJson(value: unknown): boolean {
  return typeof value === 'object' && value !== null && core.JsonProperty in value;
}
