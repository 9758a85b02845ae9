import { html } from 'hono/html';

import type { Article, Picture } from '../domain/article.ts';
import type { Html } from './layout.ts';

/** An article with the widths of its picture's thumbnails that are there. */
export interface PrintableArticle {
  readonly article: Article;
  readonly thumbnails: readonly number[];
}

/** Where a picture is served: its original, or a thumbnail of this width. */
function pictureUrl(picture: Picture, width?: number): string {
  return `/pictures/${picture.id}/${width === undefined ? 'original' : `${width}.webp`}`;
}

/** The picture of an article; the original stands in until the thumbnails are made. */
export function pictureOf(
  { article, thumbnails }: PrintableArticle,
  sizes: string,
  loading: 'eager' | 'lazy',
): Html | '' {
  const { picture } = article;
  if (picture === null) return '';
  const sources = thumbnails
    .map((width) => `${pictureUrl(picture, width)} ${Math.min(width, picture.width)}w`)
    .join(', ');
  return html`<img
    src="${pictureUrl(picture, thumbnails.at(-1))}"
    ${sources === '' ? '' : html`srcset="${sources}" sizes="${sizes}"`}
    width="${picture.width}"
    height="${picture.height}"
    alt="${picture.description}"
    loading="${loading}"
    decoding="async"
  />`;
}
