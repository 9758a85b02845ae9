import { glob, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

import { invalidArgument } from 'underpin/core';

import type { MarkdownFile } from '../../application/import-articles.ts';

/** The Markdown files of a folder and its subfolders, in the order of their paths. */
export async function* markdownFolder(directory: string): AsyncGenerator<MarkdownFile> {
  const isFolder = await stat(directory).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw invalidArgument(
      { component: 'articles', operation: 'import' },
      `${directory} is not a folder: set ARTICLES_DIR to one with Markdown files`,
    );
  }
  const paths = (await Array.fromAsync(glob('**/*.md', { cwd: directory }))).toSorted();
  for (const relative of paths) {
    yield {
      path: relative.split(path.sep).join('/'),
      markdown: await readFile(path.join(directory, relative), 'utf8'),
    };
  }
}
