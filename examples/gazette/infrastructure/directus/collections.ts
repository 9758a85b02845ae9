import { createCollection, readCollections } from '@directus/sdk';
import type { DirectusClient } from 'underpin/directus';

import type { DirectusArticle, DirectusSchema } from './types.ts';

interface Field {
  readonly type: string;
  /** Its column in the database. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** How editors see it. */
  readonly meta?: Readonly<Record<string, unknown>>;
}

const text = { is_nullable: false, default_value: '' };
const hidden = { hidden: true };

const fields: Readonly<Record<keyof DirectusArticle, Field>> = {
  id: {
    type: 'uuid',
    schema: { is_primary_key: true },
    meta: { special: ['uuid'], hidden: true, readonly: true },
  },
  title: { type: 'string', schema: text, meta: { interface: 'input', required: true } },
  slug: {
    type: 'string',
    schema: { is_nullable: false, is_unique: true },
    meta: { interface: 'input', required: true, options: { slug: true } },
  },
  section: { type: 'string', schema: text, meta: { interface: 'input', required: true } },
  summary: { type: 'text', schema: text, meta: { interface: 'input-multiline' } },
  body: { type: 'text', schema: text, meta: { interface: 'input-rich-text-md' } },
  status: {
    type: 'string',
    schema: { is_nullable: false, default_value: 'draft' },
    meta: {
      interface: 'select-dropdown',
      options: {
        choices: ['draft', 'published', 'archived'].map((value) => ({ text: value, value })),
      },
    },
  },
  date_published: { type: 'timestamp', meta: { interface: 'datetime' } },
  date_updated: {
    type: 'timestamp',
    meta: { special: ['date-created', 'date-updated'], hidden: true, readonly: true },
  },
  // What articles have that are written at the newspaper's own desk.
  picture: { type: 'json', meta: { ...hidden, special: ['cast-json'] } },
  source_path: { type: 'string', meta: hidden },
  source_hash: { type: 'string', meta: hidden },
  version: { type: 'integer', schema: { is_nullable: false, default_value: 1 }, meta: hidden },
};

/** Makes the collections of the newspaper, where they are not there. Needs an administrator's rights. */
export async function createCollections(client: DirectusClient<DirectusSchema>): Promise<boolean> {
  const known = await client.request(readCollections());
  if (known.some(({ collection }) => collection === 'articles')) return false;
  await client.request(
    createCollection({
      collection: 'articles',
      schema: {},
      meta: { icon: 'article', archive_field: 'status', archive_value: 'archived' },
      fields: Object.entries(fields).map(([field, { type, schema = {}, meta = {} }]) => ({
        field,
        type,
        schema,
        meta,
      })),
    }),
  );
  return true;
}
