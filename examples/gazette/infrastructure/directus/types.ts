/** An article as Directus keeps it; `collections.ts` makes the fields. */
export interface DirectusArticle {
  id: string;
  slug: string;
  title: string;
  summary: string;
  body: string;
  section: string;
  status: 'draft' | 'published' | 'archived';
  date_published: string | null;
  /** Written by Directus with every save. */
  date_updated: string;
  picture: unknown;
  source_path: string | null;
  source_hash: string | null;
  version: number;
}

/** The collections of the newspaper's Directus, as its SDK wants them typed. */
export interface DirectusSchema {
  articles: DirectusArticle[];
}
