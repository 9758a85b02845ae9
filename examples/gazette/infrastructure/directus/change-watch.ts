import { setTimeout as sleep } from 'node:timers/promises';

import type { Managed } from 'underpin/core';
import type { Logger } from 'underpin/ports';

import type { Newsroom } from '../../application/newsroom.ts';
import { articleTag, listsTag } from '../../application/pages.ts';

/** How long a change in Directus may go unseen, in milliseconds. Each look is two small requests. */
const interval = 5000;

/** What changes when any article is written or deleted. */
interface State {
  readonly newest: Date | undefined;
  readonly count: number;
}

/** Drops the cached pages of articles that were changed in Directus, which tells nobody. */
export function changeWatch({ articles, pages }: Newsroom, logger: Logger): Managed {
  const closing = new AbortController();
  const { signal } = closing;
  let watching: Promise<void> | undefined;
  let seen: State | undefined;

  const look = async (): Promise<State> => {
    const [newest, count] = await Promise.all([
      articles.findOne({}, { orderBy: { updatedAt: 'desc' }, signal }),
      articles.count({}, { signal }),
    ]);
    return { newest: newest?.updatedAt, count };
  };

  const drop = async (before: State): Promise<void> => {
    const changed = await articles.find(
      before.newest === undefined ? {} : { updatedAt: { gte: before.newest } },
      { signal },
    );
    await pages.drop([listsTag, ...changed.map(({ id }) => articleTag(id))]);
  };

  const watch = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        await sleep(interval, undefined, { signal, ref: false });
        const now = await look();
        if (seen !== undefined && !isSame(seen, now)) await drop(seen);
        seen = now;
      } catch (error) {
        // What it missed meanwhile it finds at the next look.
        if (!signal.aborted) logger.warn({ err: error }, 'Directus cannot be asked for changes');
      }
    }
  };

  return {
    component: 'articles',
    adapter: 'change-watch',
    start: async () => {
      seen = await look();
      watching = watch();
    },
    drain: async () => {},
    checkHealth: async () => ({ status: 'ok' }),
    close: async () => {
      closing.abort();
      await watching;
    },
  };
}

function isSame(a: State, b: State): boolean {
  return a.count === b.count && a.newest?.getTime() === b.newest?.getTime();
}
