import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A fenced block of TypeScript in a document. */
export interface CodeBlock {
  /** The document's path, relative to the root it was found under. */
  readonly file: string;
  /** The line of the first line of code, from 1. */
  readonly line: number;
  readonly code: string;
  /** False for a block fenced as `ts no-run`. */
  readonly runs: boolean;
}

/** A link to a file of the repository. */
export interface RelativeLink {
  readonly file: string;
  readonly line: number;
  readonly target: string;
}

/** The documents whose code and links are checked. */
export function findDocuments(root: string): string[] {
  return globSync(['*.md', 'docs/**/*.md'], { cwd: root })
    .map((file) => file.split(path.sep).join('/'))
    .toSorted();
}

/** Reads the code blocks and relative links of a document. Throws when a code fence is never closed. */
export function readDocument(
  root: string,
  file: string,
): { blocks: CodeBlock[]; links: RelativeLink[] } {
  const blocks: CodeBlock[] = [];
  const links: RelativeLink[] = [];
  let fence: { mark: string; info: string; indent: number; line: number } | undefined;
  let code: string[] = [];

  for (const [index, text] of readFileSync(path.join(root, file), 'utf8')
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1;
    const [, indent = '', mark, info = ''] = /^(\s*)(`{3,})(.*)$/.exec(text) ?? [];
    if (fence === undefined) {
      if (mark === undefined)
        links.push(...linksIn(text).map((target) => ({ file, line, target })));
      else fence = { mark, info: info.trim(), indent: indent.length, line: line + 1 };
    } else if (mark !== undefined && mark.length >= fence.mark.length && info.trim() === '') {
      const [language, ...flags] = fence.info.split(/\s+/);
      if (language === 'ts') {
        blocks.push({
          file,
          line: fence.line,
          code: code.join('\n'),
          runs: !flags.includes('no-run'),
        });
      }
      fence = undefined;
      code = [];
    } else {
      code.push(text.slice(fence.indent));
    }
  }
  if (fence !== undefined)
    throw new Error(`${file}:${fence.line - 1}: this code fence is never closed`);
  return { blocks, links };
}

function linksIn(text: string): string[] {
  const prose = text.replace(/`[^`]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)/g)]
    .map(([, target = '']) => target.replace(/#.*$/, ''))
    .filter((target) => target !== '' && !/^[a-z][a-z+.-]*:/i.test(target));
}
