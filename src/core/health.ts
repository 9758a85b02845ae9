import { type Clock, systemClock } from './clock.ts';
import { type Duration, toMilliseconds } from './quantities.ts';

/** How well something works. `degraded`: it serves, but not as it should. */
export type HealthStatus = 'ok' | 'degraded' | 'down';

/** The health of one component. */
export interface ComponentHealth {
  readonly status: HealthStatus;
  /** What is wrong. */
  readonly message?: string;
}

/** The health of the whole, which is that of its worst component. */
export interface HealthReport {
  readonly status: HealthStatus;
  readonly components: Readonly<Record<string, ComponentHealth>>;
}

/** What can be asked for its health. */
export interface HealthCheckable {
  checkHealth(options: { readonly signal: AbortSignal }): Promise<ComponentHealth>;
}

/** Options of {@link Health}. */
export interface HealthOptions {
  /** For each component; one that does not answer in time is down. Default 2 s. */
  readonly timeout?: Duration;
  /** How long a report is reused, so that probes cannot load the engines. Default 1 s. */
  readonly cacheFor?: Duration;
  readonly clock?: Clock;
}

/** Where the application is in its life. */
export type LifecycleStage = 'starting' | 'started' | 'stopping' | 'stopped';

const rank: Readonly<Record<HealthStatus, number>> = { ok: 0, degraded: 1, down: 2 };

/** Asks each component for its health, within a budget, and answers probes. */
export class Health {
  /** Set by the lifecycle. */
  stage: LifecycleStage = 'starting';
  readonly #components: Readonly<Record<string, HealthCheckable>>;
  readonly #timeout: number;
  readonly #cacheFor: number;
  readonly #clock: Clock;
  #cached: { readonly at: number; readonly report: Promise<HealthReport> } | undefined;

  constructor(components: Readonly<Record<string, HealthCheckable>>, options: HealthOptions = {}) {
    this.#components = components;
    this.#timeout = toMilliseconds(options.timeout ?? 2000);
    this.#cacheFor = toMilliseconds(options.cacheFor ?? 1000);
    this.#clock = options.clock ?? systemClock;
  }

  /** The health of every component. Never rejects. */
  async check(): Promise<HealthReport> {
    const now = this.#clock.now();
    if (this.#cached === undefined || now - this.#cached.at >= this.#cacheFor) {
      this.#cached = { at: now, report: this.#checkAll() };
    }
    return await this.#cached.report;
  }

  /**
   * A fetch handler for probes, by the last segment of the path: `live` (200 while the process answers at all), `started`
   * (200 once everything has started) and `ready` (200 while started, not stopping, and no component is down). 503 when not,
   * 404 for any other path, 405 for any method but GET and HEAD. The body is JSON.
   */
  readonly handler = async (request: Request): Promise<Response> => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return new Response(null, { status: 405, headers: { allow: 'GET, HEAD' } });
    }
    const probe = new URL(request.url).pathname.split('/').at(-1);
    const { stage } = this;
    if (probe === 'live') return answer(true, { stage });
    if (probe === 'started') return answer(stage !== 'starting', { stage });
    if (probe === 'ready') {
      if (stage !== 'started') return answer(false, { stage });
      const report = await this.check();
      return answer(report.status !== 'down', { stage, ...report });
    }
    return new Response(null, { status: 404 });
  };

  async #checkAll(): Promise<HealthReport> {
    const entries = await Promise.all(
      Object.entries(this.#components).map(
        async ([name, component]) => [name, await this.#checkOne(component)] as const,
      ),
    );
    const status = entries.reduce<HealthStatus>(
      (worst, [, health]) => (rank[health.status] > rank[worst] ? health.status : worst),
      'ok',
    );
    return { status, components: Object.fromEntries(entries) };
  }

  async #checkOne(component: HealthCheckable): Promise<ComponentHealth> {
    const done = new AbortController();
    const overdue = new AbortController();
    const late = this.#clock.sleep(this.#timeout, done.signal).then(
      (): ComponentHealth => {
        overdue.abort(new DOMException('health check', 'TimeoutError'));
        return { status: 'down', message: `no answer within ${this.#timeout} ms` };
      },
      (): ComponentHealth => ({ status: 'ok' }),
    );
    try {
      return await Promise.race([component.checkHealth({ signal: overdue.signal }), late]);
    } catch (error) {
      return { status: 'down', message: error instanceof Error ? error.message : String(error) };
    } finally {
      done.abort();
    }
  }
}

function answer(isGood: boolean, body: object): Response {
  return Response.json(body, {
    status: isGood ? 200 : 503,
    headers: { 'cache-control': 'no-store' },
  });
}
