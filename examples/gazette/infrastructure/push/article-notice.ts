import type { ComposeNotice } from '../../application/newsroom.ts';

/** Push services refuse more than 4 KiB in all; devices show less. */
const longestBody = 300;

/** Writes the notice of an article. */
export const composeArticleNotice: ComposeNotice = ({ title, summary }, url) => ({
  title,
  body: summary.length <= longestBody ? summary : `${summary.slice(0, longestBody - 1).trimEnd()}…`,
  url,
  // A notice that could not be shown within a day is no news.
  ttl: '1d',
});
