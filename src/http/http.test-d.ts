import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import { httpClient } from './http.ts';

const api = httpClient({ baseUrl: 'https://api.example.com' });

describe('http › types', () => {
  it('the schema gives the body its type, and without one it is unknown', () => {
    expectTypeOf(api.get('/a', { response: z.object({ id: z.number() }) })).resolves.toEqualTypeOf<{
      id: number;
    }>();
    expectTypeOf(api.get('/a')).resolves.toBeUnknown();
    expectTypeOf(api.get('/a', { as: 'text' })).resolves.toEqualTypeOf<string>();
    expectTypeOf(api.get('/a', { as: 'bytes' })).resolves.toEqualTypeOf<Uint8Array<ArrayBuffer>>();
    expectTypeOf(api.pages('/a', { response: z.array(z.string()) })).toEqualTypeOf<
      AsyncGenerator<string[], void>
    >();
  });

  it('a path with names in braces requires their values', () => {
    void api.get('/users/{id}/posts/{post}', { path: { id: 1, post: 'a' } });
    // @ts-expect-error the options are missing
    void api.get('/users/{id}');
    // @ts-expect-error one value is missing
    void api.get('/users/{id}/posts/{post}', { path: { id: 1 } });
    // @ts-expect-error no such name
    void api.get('/users/{id}', { path: { id: 1, other: 2 } });
    // @ts-expect-error a path without names takes no values
    void api.get('/users', { path: { id: 1 } });
  });

  it('a misspelt option does not compile', () => {
    // @ts-expect-error no such option
    void api.get('/users', { qurey: { a: 1 } });
    // @ts-expect-error an object has no place in a query
    void api.get('/users', { query: { a: {} } });
  });
});
