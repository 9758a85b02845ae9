import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The style sheet. */
export const style: string = readFileSync(new URL('style.css', import.meta.url), 'utf8');

/** Changes with the style sheet, so that browsers may keep it for ever. */
export const styleUrl =
  `/assets/${createHash('sha256').update(style).digest('hex').slice(0, 16)}.css` as const;

/** The newspaper's sign: a G's bowl over a column. */
export const favicon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="4" fill="#9c2b1b"/><path d="M24 11a9 9 0 1 0 1 7h-8" fill="none" stroke="#fbf8f1" stroke-width="3.4"/></svg>' as const;
