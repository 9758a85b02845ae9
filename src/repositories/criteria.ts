/** What the id of an entity can be. Ids are made by the application, never by the engine. */
export type EntityId = string | number | bigint;

/** What criteria can compare and what can be sorted by. */
export type Scalar = string | number | bigint | boolean | Date;

type AnyFunction = (...args: never[]) => unknown;

/** The names of an entity's data: its properties, without methods. */
export type FieldOf<Entity> = {
  [Name in keyof Entity]-?: Name extends string
    ? Entity[Name] extends AnyFunction
      ? never
      : Name
    : never;
}[keyof Entity];

/** The fields that can be compared and sorted by. */
export type ScalarFieldOf<Entity> = {
  [Name in FieldOf<Entity>]: NonNullable<Entity[Name]> extends Scalar ? Name : never;
}[FieldOf<Entity>];

/** The fields that can be an entity's id. */
export type IdFieldOf<Entity> = {
  [Name in FieldOf<Entity>]: Entity[Name] extends EntityId ? Name : never;
}[FieldOf<Entity>];

/** The fields that can count an entity's versions. */
export type VersionFieldOf<Entity> = {
  [Name in FieldOf<Entity>]: Entity[Name] extends number
    ? number extends Entity[Name]
      ? Name
      : never
    : never;
}[FieldOf<Entity>];

// A field that may be absent is compared with null: absent and null are the same in every repository.
type Comparable<Value> = undefined extends Value ? NonNullable<Value> | null : Value;

/** The comparisons of one field; all of those given must hold. */
export interface Comparisons<Value> {
  readonly eq?: Comparable<Value>;
  /** Also true of an entity where the field is null, unless it is compared with null itself. */
  readonly not?: Comparable<Value>;
  readonly in?: readonly Comparable<Value>[];
  readonly notIn?: readonly Comparable<Value>[];
}

/** Comparisons by order; none of them holds where the field is null. Text is ordered by code points. */
export interface OrderComparisons<Value> {
  readonly gt?: NonNullable<Value>;
  readonly gte?: NonNullable<Value>;
  readonly lt?: NonNullable<Value>;
  readonly lte?: NonNullable<Value>;
}

/** Comparisons of text, by its exact characters: upper and lower case differ. */
export interface TextComparisons {
  readonly contains?: string;
  readonly startsWith?: string;
  readonly endsWith?: string;
}

/** Of a field that holds JSON or bytes only this can be asked. */
export interface NullComparisons {
  readonly eq?: null;
  readonly not?: null;
}

/** What one field is held against: a value that it must equal, or comparisons. */
export type Criterion<Value> =
  NonNullable<Value> extends Scalar
    ?
        | Comparable<Value>
        | (NonNullable<Value> extends string
            ? Comparisons<Value> & OrderComparisons<Value> & TextComparisons
            : NonNullable<Value> extends boolean
              ? Comparisons<Value>
              : Comparisons<Value> & OrderComparisons<Value>)
    : (null extends Comparable<Value> ? null : never) | NullComparisons;

/**
 * Which entities are meant, as data: every field and every combination given must hold, and `{}` means all. `null` equals
 * null; every comparison is either true or false, so `not` is always the exact opposite.
 *
 * Fields cannot be called `and`, `or` or `not`.
 *
 * @example
 * { status: 'published', views: { gte: 3 }, or: [{ title: { contains: 'tea' } }, { pinned: true }] }
 */
export type Criteria<Entity> = {
  readonly [Name in Exclude<FieldOf<Entity>, 'and' | 'or' | 'not'>]?: Criterion<Entity[Name]>;
} & {
  /** All of these hold; true when empty. */
  readonly and?: readonly Criteria<Entity>[];
  /** At least one of these holds; false when empty. */
  readonly or?: readonly Criteria<Entity>[];
  /** This does not hold. */
  readonly not?: Criteria<Entity>;
};

/** Which way a field is sorted. Nulls are the smallest: first when ascending, last when descending. */
export type Direction = 'asc' | 'desc';

/**
 * Fields to sort by, the most significant first. The id is always added as the last one, in the direction of the field before
 * it, so that the order is total. Text is ordered by code points.
 *
 * @example
 * { publishedAt: 'desc', title: 'asc' }
 */
export type OrderBy<Entity> = { readonly [Name in ScalarFieldOf<Entity>]?: Direction };
