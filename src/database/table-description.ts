/** A table or view as the live database has it. */
export interface TableDescription {
  readonly name: string;
  readonly kind: 'table' | 'view';
  /** In their order. */
  readonly columns: readonly ColumnDescription[];
  /**
   * What else is known of it, by what each is and is called, in the engine's own words: `index article_by_slug` is
   * `unique (slug)`.
   */
  readonly rules: Readonly<Record<string, string>>;
}

/** A column of a {@link TableDescription}. */
export interface ColumnDescription {
  readonly name: string;
  /** Its type, whether it may be null, and its default, in the engine's own words: `varchar(200) not null`. */
  readonly definition: string;
  readonly isNullable: boolean;
  /** Whether an insert has to give it a value, may, or must not. One that may be null may always. */
  readonly insert: 'required' | 'optional' | 'never';
  /** The TypeScript type of the values, beside null, that the adapter gives: `number | bigint`. */
  readonly given: string;
  /** The TypeScript type of the values, beside null, that the adapter takes, where it takes others than it gives. */
  readonly taken?: string;
}
