import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { InfrastructureError } from './errors.ts';
import { parseWithSchema, type Schema } from './schema.ts';

const subject = { subject: 'payload of job "resize"', component: 'queue', operation: 'enqueue' };

describe('parseWithSchema', () => {
  it('gives what the schema makes of the value', async () => {
    const schema = z.object({ width: z.string().transform(Number), height: z.number().default(5) });
    expect(await parseWithSchema(schema, { width: '12' }, subject)).toEqual({
      width: 12,
      height: 5,
    });
  });

  it('takes a validator that answers later', async () => {
    const schema = z.string().refine(async (text) => await Promise.resolve(text === 'good'));
    await expect(parseWithSchema(schema, 'good', subject)).resolves.toBe('good');
    await expect(parseWithSchema(schema, 'bad', subject)).rejects.toThrow(/is not valid/);
  });

  it('names each field and its issue, and never the value', async () => {
    const schema = z.object({
      size: z.object({ width: z.number() }),
      tags: z.array(z.string()),
      token: z.number(),
    });
    const error: unknown = await parseWithSchema(
      schema,
      { size: { width: 'hunter2' }, tags: [1], token: 'hunter2' },
      subject,
    ).catch((reason: unknown) => reason);
    expect(InfrastructureError.is(error, 'invalid-argument')).toBe(true);
    const { message, details, component, operation } = error as InfrastructureError;
    expect(message).toMatch(
      /^payload of job "resize" is not valid: size\.width: .+; tags\.0: .+; token: .+/,
    );
    expect(details['issues']).toMatchObject([
      { path: 'size.width' },
      { path: 'tags.0' },
      { path: 'token' },
    ]);
    expect([component, operation]).toEqual(['queue', 'enqueue']);
    expect(message + JSON.stringify(error)).not.toContain('hunter2');
  });

  it('an issue with the value as a whole has no path; path segments may be objects', async () => {
    const schema: Schema<never> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => ({
          issues: [
            { message: 'too odd' },
            { message: 'bad', path: [{ key: 'a' }, 0, Symbol('s')] },
          ],
        }),
      },
    };
    await expect(
      parseWithSchema(schema, 1, { ...subject, code: 'data-loss' }),
    ).rejects.toMatchObject({
      code: 'data-loss',
      message: 'payload of job "resize" is not valid: too odd; a.0.Symbol(s): bad',
    });
  });
});
