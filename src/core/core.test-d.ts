import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import {
  type ByteSize,
  type Component,
  defineInfrastructure,
  definePolicy,
  type Driver,
  type Duration,
  type ErrorCode,
  InfrastructureError,
  type Managed,
  parseWithSchema,
  Redacted,
  requireCapability,
  type RunningInfrastructure,
  type SchemaInput,
  type SchemaOutput,
  type Secret,
} from './index.ts';

describe('types of core', () => {
  it('quantities take numbers and known units', () => {
    expectTypeOf<'30s'>().toExtend<Duration>();
    expectTypeOf<'64KiB'>().toExtend<ByteSize>();
    // @ts-expect-error a duration has no such unit
    void ('30 seconds' satisfies Duration);
    // @ts-expect-error decimal units are not taken, since most mean the binary ones by them
    void ('64KB' satisfies ByteSize);
  });

  it('the error codes are a closed union', () => {
    // @ts-expect-error this code is not in the list
    void ('conflict' satisfies ErrorCode);
    // @ts-expect-error a code is needed
    void new InfrastructureError({ component: 'x', message: 'x' });
    const value: unknown = undefined;
    if (InfrastructureError.is(value)) expectTypeOf(value).toEqualTypeOf<InfrastructureError>();
  });

  it('a secret does not pass for a string', () => {
    expectTypeOf(new Redacted('x').reveal()).toEqualTypeOf<string>();
    expectTypeOf<Redacted>().toExtend<Secret>();
    // @ts-expect-error it has to be revealed
    void (new Redacted('x') satisfies string);
  });

  it('a running infrastructure has the components by their own types, beside the controls', async () => {
    const infrastructure = defineInfrastructure(({ env }) => ({
      port: env.integer('PORT'),
      kind: env.oneOf('KIND', ['a', 'b']),
    }));
    const app = await infrastructure.start();
    expectTypeOf(app).toEqualTypeOf<RunningInfrastructure<{ port: number; kind: 'a' | 'b' }>>();
    expectTypeOf(app.kind).toEqualTypeOf<'a' | 'b'>();
    expectTypeOf(app.stop).returns.toEqualTypeOf<Promise<void>>();
    // @ts-expect-error no such component
    void app.missing;
  });

  it('every component is managed', () => {
    expectTypeOf<Component>().toExtend<Managed>();
    expectTypeOf<
      Component<Driver & { capabilities: { readonly signedUrls: true } }>['capabilities']
    >().toExtend<{ readonly signedUrls: true }>();
  });

  it('a policy names its parts, and each part what it needs', () => {
    // @ts-expect-error retry needs a count
    definePolicy('p', { retry: {} });
    // @ts-expect-error there is no such part
    definePolicy('p', { retries: 3 });
  });

  it('only a declared capability can be required', () => {
    requireCapability({ ranges: true }, 'ranges', { component: 'storage' });
    // @ts-expect-error it is not declared
    requireCapability({ ranges: true }, 'versions', { component: 'storage' });
  });

  it('a schema gives its output, and says what it takes', () => {
    const schema = z.object({ width: z.string().transform(Number) });
    expectTypeOf<SchemaInput<typeof schema>>().toEqualTypeOf<{ width: string }>();
    expectTypeOf<SchemaOutput<typeof schema>>().toEqualTypeOf<{ width: number }>();
    expectTypeOf(
      parseWithSchema(schema, {}, { subject: 'x', component: 'core' }),
    ).resolves.toEqualTypeOf<{ width: number }>();
  });
});
