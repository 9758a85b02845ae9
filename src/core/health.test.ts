import { describe, expect, it } from 'vitest';

import { fakeClock } from './clock.ts';
import {
  type ComponentHealth,
  Health,
  type HealthCheckable,
  type LifecycleStage,
} from './health.ts';

function component(
  health: ComponentHealth | (() => Promise<ComponentHealth>),
): HealthCheckable & { checks: number } {
  return {
    checks: 0,
    async checkHealth() {
      this.checks += 1;
      return typeof health === 'function' ? await health() : health;
    },
  };
}

describe('check', () => {
  it.each([
    [['ok', 'ok'], 'ok'],
    [['ok', 'degraded'], 'degraded'],
    [['down', 'degraded'], 'down'],
    [[], 'ok'],
  ] as const)('the health of %j together is %s', async (statuses, whole) => {
    const components = Object.fromEntries(
      statuses.map((status, index) => [`c${index}`, component({ status })]),
    );
    const report = await new Health(components).check();
    expect(report.status).toBe(whole);
    expect(Object.values(report.components).map(({ status }) => status)).toEqual(statuses);
  });

  it('a component that does not answer within its budget is down, is told to stop, and holds up nobody', async () => {
    const clock = fakeClock();
    let signal: AbortSignal | undefined;
    const hanging: HealthCheckable = {
      checkHealth: async (options) => {
        ({ signal } = options);
        return await new Promise<never>(() => undefined);
      },
    };
    const report = new Health(
      { hanging, fine: component({ status: 'ok' }) },
      { timeout: 500, clock },
    ).check();
    await clock.advance(500);
    expect(await report).toEqual({
      status: 'down',
      components: {
        hanging: { status: 'down', message: 'no answer within 500 ms' },
        fine: { status: 'ok' },
      },
    });
    expect(signal?.reason).toMatchObject({ name: 'TimeoutError' });
    expect(clock.sleepers).toBe(0);
  });

  it('a component whose check throws is down, without its secrets', async () => {
    const broken = component(async () => await Promise.reject(new Error('no redis://:hunter2@h')));
    expect(await new Health({ broken }).check()).toEqual({
      status: 'down',
      components: { broken: { status: 'down', message: 'no redis://[redacted]@h' } },
    });
  });

  it('a report is reused for a while, also while it is being made', async () => {
    const clock = fakeClock();
    const checked = component({ status: 'ok' });
    const health = new Health({ checked }, { cacheFor: 1000, clock });
    await Promise.all([health.check(), health.check()]);
    await clock.advance(999);
    await health.check();
    expect(checked.checks).toBe(1);
    await clock.advance(1);
    await health.check();
    expect(checked.checks).toBe(2);
  });
});

describe('handler', () => {
  async function probe(
    stage: LifecycleStage,
    path: string,
    status: ComponentHealth['status'] = 'ok',
    method = 'GET',
  ): Promise<Response> {
    const health = new Health({ database: component({ status }) });
    health.stage = stage;
    return await health.handler(new Request(`http://localhost${path}`, { method }));
  }

  it.each<[LifecycleStage, string, number, ComponentHealth['status']?]>([
    ['starting', '/live', 200],
    ['stopping', '/live', 200],
    ['started', '/live', 200, 'down'],
    ['starting', '/started', 503],
    ['started', '/started', 200],
    ['stopping', '/started', 200],
    ['starting', '/ready', 503],
    ['started', '/ready', 200],
    ['started', '/deep/in/ready?x=1', 200],
    ['started', '/ready', 200, 'degraded'],
    ['started', '/ready', 503, 'down'],
    ['stopping', '/ready', 503],
    ['stopped', '/ready', 503],
    ['started', '/', 404],
    ['started', '/readyness', 404],
  ])('while %s, %s answers %d', async (stage, path, code, status) => {
    expect((await probe(stage, path, status)).status).toBe(code);
  });

  it('answers JSON that no cache keeps', async () => {
    const response = await probe('started', '/ready', 'degraded');
    expect(await response.json()).toEqual({
      stage: 'started',
      status: 'degraded',
      components: { database: { status: 'degraded' } },
    });
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('content-type')).toBe('application/json');
  });

  it('refuses what only writes', async () => {
    const response = await probe('started', '/ready', 'ok', 'POST');
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await probe('started', '/ready', 'ok', 'HEAD')).status).toBe(200);
  });
});
