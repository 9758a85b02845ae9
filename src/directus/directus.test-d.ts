import { readItems } from '@directus/sdk';
import { describe, expectTypeOf, it } from 'vitest';

import { directusClient } from './directus.ts';

interface Schema {
  readonly articles: { readonly id: number; readonly title: string }[];
}

describe('directus › types', () => {
  const client = directusClient<Schema>({ url: 'https://cms.example.com', token: 't' });

  it('a command gives what the SDK says', () => {
    expectTypeOf(
      client.request(readItems('articles', { fields: ['title'] })),
    ).resolves.toEqualTypeOf<{ title: string }[]>();
  });

  it('a collection or field that the schema lacks does not compile', () => {
    // @ts-expect-error no such collection
    void client.request(readItems('missing'));
    // @ts-expect-error no such field
    void client.request(readItems('articles', { fields: ['missing'] }));
  });

  it('credentials are a token, or an email and a password', () => {
    void directusClient({ url: 'https://a.example', email: 'a@b.c', password: 'x' });
    // @ts-expect-error no credentials
    void directusClient({ url: 'https://a.example' });
    // @ts-expect-error no password
    void directusClient({ url: 'https://a.example', email: 'a@b.c' });
    // @ts-expect-error both
    void directusClient({ url: 'https://a.example', token: 't', email: 'a@b.c', password: 'x' });
  });
});
