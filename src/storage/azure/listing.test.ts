import { describe, expect, it } from 'vitest';

import { compareKeys } from '../key.ts';
import { type Answer, listPage, type Query } from './listing.ts';

type Order = (a: string, b: string) => number;

const utf16: Order = (a, b) => (a < b ? -1 : Number(a > b));

/** What Azure would answer, if it ordered names so. */
function server(keys: readonly string[], order: Order): (query: Query) => Promise<Answer> {
  return async ({ prefix, delimiter, startFrom, marker, limit }) => {
    const names = new Set<string>();
    for (const key of keys.toSorted(order)) {
      if (!key.startsWith(prefix) || (startFrom !== undefined && order(key, startFrom) < 0))
        continue;
      const slash = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
      names.add(slash === -1 ? key : key.slice(0, slash + 1));
    }
    const rest = [...names].filter((name) => marker === undefined || order(name, marker) > 0);
    const given = rest.slice(0, limit);
    const isFile = (name: string): boolean => keys.includes(name);
    const last = given.at(-1);
    return {
      files: given
        .filter(isFile)
        .map((key) => ({ key, size: 1, lastModified: new Date('2026-01-01') })),
      prefixes: given.filter((name) => !isFile(name)),
      ...(rest.length > given.length && last !== undefined ? { marker: last } : {}),
    };
  };
}

async function walk(
  fetchPage: (query: Query) => Promise<Answer>,
  options: { readonly prefix?: string; readonly delimiter?: '/'; readonly limit: number },
): Promise<string[]> {
  const { prefix = '', delimiter, limit } = options;
  const seen: string[] = [];
  for (let after: string | undefined, pages = 0; pages < 200; pages += 1) {
    const page = await listPage({ prefix, delimiter, after, limit }, fetchPage);
    const names = [...page.files.map(({ key }) => key), ...page.prefixes];
    expect(names.length).toBeLessThanOrEqual(limit);
    seen.push(...names.toSorted(compareKeys));
    if (page.next === undefined) return seen;
    after = page.next;
  }
  throw new Error('the pages do not come to an end');
}

const keys = [
  '.underpin/uploads/x',
  'a',
  'a-',
  'a-b',
  'a/1',
  'a/😀',
  'a/～',
  'a/～/😀',
  'a0',
  'é',
  '\uE000',
  '～',
  '～😀',
  '～～',
  '😀',
  '😀/x',
  '😀～',
  '😀😀',
  '🐈',
];

describe('storage azure › list', () => {
  const orders: readonly (readonly [string, Order])[] = [
    ['UTF-8', compareKeys],
    ['UTF-16', utf16],
  ];

  it.each(orders)(
    'names that Azure has in the order of %s come in that of UTF-8, each once, on pages of any size',
    async (_name, order) => {
      const expected = keys.slice(1).toSorted(compareKeys);
      for (let limit = 1; limit <= keys.length; limit += 1)
        expect(await walk(server(keys, order), { limit })).toEqual(expected);
    },
  );

  it.each(orders)(
    'folded names that Azure has in the order of %s come each once, on pages of any size',
    async (_name, order) => {
      const expected = ['a', 'a-', 'a-b', 'a/', 'a0', 'é', '\uE000', '～', '～～', '～😀']
        .concat(['🐈', '😀', '😀/', '😀～', '😀😀'])
        .toSorted(compareKeys);
      for (let limit = 1; limit <= keys.length; limit += 1)
        expect(await walk(server(keys, order), { delimiter: '/', limit })).toEqual(expected);
    },
  );

  it('a page goes on where the last one ended, and does not begin from the start', async () => {
    const queries: Query[] = [];
    const fetchPage = server(['a', 'b', 'c', 'd', 'e'], compareKeys);
    const counting = async (query: Query): Promise<Answer> => {
      queries.push(query);
      return await fetchPage(query);
    };
    expect(await walk(counting, { limit: 2 })).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(queries.map(({ startFrom }) => startFrom)).toEqual([undefined, 'b', 'd']);
  });

  it('of a folded list Azure is asked to start at what it shows, not below', async () => {
    const queries: Query[] = [];
    const page = await listPage(
      { prefix: 'a/', delimiter: '/', after: 'a/b/c', limit: 5 },
      async (query) => {
        queries.push(query);
        return await server(['a/b', 'a/b/c', 'a/b/d', 'a/c'], compareKeys)(query);
      },
    );
    expect(queries[0]?.startFrom).toBe('a/b');
    expect(page.files.map(({ key }) => key)).toEqual(['a/c']);
    expect(page.prefixes).toEqual([]);
  });
});
