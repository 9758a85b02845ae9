import type { Migration } from 'underpin/database';

/**
 * The history of the newspaper's tables, for the database of this adapter. What has been applied anywhere is never edited: add a
 * migration to the end.
 */
export function migrationsFor(adapter: string): readonly Migration[] {
  // SQLite takes a text for a number unless it is told not to; the others have no word for it.
  const strict = adapter === 'sqlite' ? ' strict' : '';
  return [
    {
      name: '0001-articles-subscribers-devices',
      up: `
      create table article (
        id text primary key,
        slug text not null unique,
        title text not null,
        summary text not null,
        body text not null,
        section text not null,
        picture text,
        source_path text unique,
        source_hash text,
        status text not null check (status in ('draft', 'published')),
        published_at text,
        updated_at text not null,
        version integer not null
      )${strict};
      create index article_by_publication on article (status, published_at, id);
      create index article_by_section on article (section, status, published_at, id);

      create table subscriber (
        id text primary key,
        email text not null unique,
        token text not null unique,
        subscribed_at text not null
      )${strict};

      create table device (
        id text primary key,
        target text not null,
        registered_at text not null
      )${strict};
    `,
    },
  ];
}
