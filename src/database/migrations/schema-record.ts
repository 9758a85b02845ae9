import type { Kysely } from 'kysely';

import type { TableDescription } from '../table-description.ts';
import { readIfTable } from './history.ts';

/** What is known of a table, by what each thing is and is called: `column title` is `text not null`. */
type Facts = Readonly<Record<string, string>>;

/** The facts of tables, by the tables' names. */
type TableFacts = ReadonlyMap<string, Facts>;

// A type and no interface, which would lack the index signature that Kysely asks for.
type RecordSchema = {
  underpin_schema: {
    readonly set_name: string;
    readonly table_name: string;
    readonly facts: string;
  };
};

/** One way in which the live schema differs from what the migrations made. */
export interface SchemaDrift {
  readonly table: string;
  /** Such as `table article: column subtitle was added (text)`. */
  readonly message: string;
}

/** The history's own tables, which are no part of anybody's schema. */
const ownTables: ReadonlySet<string> = new Set(['underpin_migration', 'underpin_schema']);

/**
 * What the migrations of each set made of the tables they touched: the table `underpin_schema`. Tables that no migration of
 * the set has touched are not in it, whoever they belong to.
 */
export class SchemaRecord {
  readonly #query: Kysely<RecordSchema>;
  readonly #set: string;

  constructor(query: Kysely<unknown>, set: string) {
    this.#query = query.$extendTables<RecordSchema>();
    this.#set = set;
  }

  async makeTable(): Promise<void> {
    await this.#query.schema
      .createTable('underpin_schema')
      .ifNotExists()
      .addColumn('set_name', 'varchar(100)', (column) => column.notNull())
      .addColumn('table_name', 'varchar(200)', (column) => column.notNull())
      .addColumn('facts', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('underpin_schema_key', ['set_name', 'table_name'])
      .execute();
  }

  /** How the live schema differs from this set's record. */
  async driftOf(live: readonly TableDescription[]): Promise<SchemaDrift[]> {
    const recorded = await readIfTable(live, 'underpin_schema', async () => await this.#read());
    return recorded === undefined ? [] : differences(recorded, factsOf(live));
  }

  /** Takes the live schema for what the migrations made of this set's tables. */
  async accept(live: readonly TableDescription[]): Promise<void> {
    const facts = factsOf(live);
    for (const table of (await this.#read()).keys())
      await this.#write(this.#set, table, facts.get(table));
  }

  /**
   * Records what a migration of this set changed, and that alone: what had drifted before stays a drift. A table that it was
   * the first to touch is recorded whole.
   */
  async change(
    before: readonly TableDescription[],
    after: readonly TableDescription[],
  ): Promise<void> {
    const [old, now] = [factsOf(before), factsOf(after)];
    for (const table of new Set([...old.keys(), ...now.keys()])) {
      const facts = now.get(table);
      if (isSame(old.get(table), facts)) continue;
      const rows = await this.#query
        .selectFrom('underpin_schema')
        .selectAll()
        .where('table_name', '=', table)
        .execute();
      for (const row of rows)
        await this.#write(
          row.set_name,
          table,
          facts && changed(JSON.parse(row.facts) as Facts, old.get(table), facts),
        );
      if (!rows.some((row) => row.set_name === this.#set))
        await this.#write(this.#set, table, facts);
    }
  }

  async #read(): Promise<TableFacts> {
    const rows = await this.#query
      .selectFrom('underpin_schema')
      .select(['table_name', 'facts'])
      .where('set_name', '=', this.#set)
      .execute();
    // As this class wrote it.
    return new Map(rows.map(({ table_name, facts }) => [table_name, JSON.parse(facts) as Facts]));
  }

  async #write(set: string, table: string, facts: Facts | undefined): Promise<void> {
    await this.#query
      .deleteFrom('underpin_schema')
      .where('set_name', '=', set)
      .where('table_name', '=', table)
      .execute();
    if (facts === undefined) return;
    await this.#query
      .insertInto('underpin_schema')
      .values({ set_name: set, table_name: table, facts: JSON.stringify(facts) })
      .execute();
  }
}

function factsOf(tables: readonly TableDescription[]): TableFacts {
  return new Map(
    tables
      .filter(({ name }) => !ownTables.has(name))
      .map(({ name, columns, rules }) => [
        name,
        {
          ...Object.fromEntries(
            columns.map((column) => [`column ${column.name}`, column.definition]),
          ),
          ...rules,
        },
      ]),
  );
}

function isSame(one: Facts | undefined, other: Facts | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...keys].every((key) => one[key] === other[key]);
}

/** The recorded facts with what differs between before and after, and nothing else, brought up to date. */
function changed(recorded: Facts, before: Facts | undefined, after: Facts): Facts {
  const facts = new Map(Object.entries(recorded));
  for (const key of Object.keys(before ?? {})) if (!(key in after)) facts.delete(key);
  for (const [key, fact] of Object.entries(after)) if (before?.[key] !== fact) facts.set(key, fact);
  return Object.fromEntries(facts);
}

function differences(recorded: TableFacts, live: TableFacts): SchemaDrift[] {
  const drift: SchemaDrift[] = [];
  for (const [table, facts] of [...recorded].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const found = live.get(table);
    if (found === undefined) {
      drift.push({ table, message: `table ${table} is gone` });
      continue;
    }
    for (const key of new Set([...Object.keys(facts), ...Object.keys(found)])) {
      const [was, is] = [facts[key], found[key]];
      if (was === is) continue;
      const change =
        was === undefined
          ? `was added (${is})`
          : is === undefined
            ? 'is gone'
            : `was "${was}", and now is "${is}"`;
      drift.push({ table, message: `table ${table}: ${key} ${change}` });
    }
  }
  return drift;
}
