/** The collections of the newspaper's Directus, as its SDK wants them typed. */
export interface DirectusSchema {
  articles: {
    id: string;
    slug: string;
    title: string;
    summary: string | null;
    body: string;
    section: string;
    status: 'draft' | 'published' | 'archived';
    date_published: string | null;
  }[];
}
