import { createHash } from 'node:crypto';

import type { Picture } from '../domain/article.ts';
import { makeThumbnail } from './jobs.ts';
import type { Newsroom, PictureFile } from './newsroom.ts';
import { dropPagesOf } from './pages.ts';

/** How wide thumbnails are, in pixels: a column of a list, and the full measure of an article on a dense screen. */
export const thumbnailWidths: readonly number[] = [480, 1280];

/** Where the original of a picture is kept. */
export function originalKey(pictureId: string): string {
  return `pictures/${pictureId}/original`;
}

/** Where a smaller copy of a picture is kept. */
export function thumbnailKey(pictureId: string, width: number): string {
  return `pictures/${pictureId}/${width}.webp`;
}

/** Keeps a picture's original under the hash of its bytes. Keeping the same bytes again changes nothing. */
export async function keepPicture(
  { files }: Newsroom,
  file: PictureFile,
  description: string,
): Promise<Picture> {
  const { bytes, contentType, width, height } = file;
  const id = createHash('sha256').update(bytes).digest('hex');
  const key = originalKey(id);
  if (!(await files.exists(key))) await files.put(key, bytes, { contentType });
  return { id, contentType, width, height, description };
}

/** Enqueues one {@link makeThumbnail} for each width; inside a transaction, they are part of it. */
export async function enqueueThumbnails(
  { queue }: Newsroom,
  article: { readonly id: string; readonly picture: Picture | null },
): Promise<void> {
  const { picture } = article;
  if (picture === null) return;
  for (const width of thumbnailWidths) {
    await queue.enqueue(
      makeThumbnail,
      { articleId: article.id, pictureId: picture.id, width },
      { deduplicationKey: `${article.id}/${picture.id}/${width}` },
    );
  }
}

/** Makes a thumbnail, unless it is there, and drops the pages that still show the original in its place. */
export async function createThumbnail(
  newsroom: Newsroom,
  {
    articleId,
    pictureId,
    width,
  }: { readonly articleId: string; readonly pictureId: string; readonly width: number },
  signal?: AbortSignal,
): Promise<void> {
  const { files, pictures } = newsroom;
  const key = thumbnailKey(pictureId, width);
  if (!(await files.exists(key, { signal }))) {
    const original = await (await files.get(originalKey(pictureId), { signal })).bytes();
    const thumbnail = await pictures.thumbnail(original, width);
    await files.put(key, thumbnail.bytes, { contentType: thumbnail.contentType, signal });
  }
  await dropPagesOf(newsroom, articleId);
}

/** Which widths of a picture's thumbnails are there. */
export async function availableThumbnails(
  { files }: Newsroom,
  pictureId: string,
): Promise<readonly number[]> {
  const isThere = await Promise.all(
    thumbnailWidths.map((width) => files.exists(thumbnailKey(pictureId, width))),
  );
  return thumbnailWidths.filter((_, index) => isThere[index]);
}
