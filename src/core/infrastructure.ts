import { longestTimer } from './clock.ts';
import { Environment } from './environment.ts';
import { abortReason, InfrastructureError, invalidArgument, wrapError } from './errors.ts';
import {
  type ComponentHealth,
  Health,
  type HealthCheckable,
  type HealthOptions,
} from './health.ts';
import { abortable } from './policies.ts';
import { type Duration, toMilliseconds } from './quantities.ts';

/** What {@link defineInfrastructure} starts, drains, closes and asks for its health. Every portable class and worker is one. */
export interface Managed {
  readonly component: string;
  readonly adapter: string;
  start(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  drain(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  checkHealth(options?: { readonly signal?: AbortSignal | undefined }): Promise<ComponentHealth>;
  close(): Promise<void>;
}

/** What the function given to {@link defineInfrastructure} gets. */
export interface InfrastructureContext {
  /** Reads the environment; its mistakes are collected and reported together. */
  readonly env: Environment;
}

/** Options of {@link Infrastructure.start}. */
export interface StartOptions {
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly health?: HealthOptions;
  readonly signal?: AbortSignal;
}

/** A definition that can be started. */
export interface Infrastructure<Components extends object> {
  /**
   * Builds the components and starts them in the order in which the definition names them. When one fails, all are closed in
   * reverse, those not started too, since their factories may hold something; then the error is thrown. One component under
   * two names is started and closed once.
   */
  start(options?: StartOptions): Promise<RunningInfrastructure<Components>>;
}

/** Options of {@link RunningControls.stop}. */
export interface StopOptions {
  /** How long work under way may go on before it is aborted. Default 30 s. */
  readonly deadline?: Duration;
}

/** What a running infrastructure has beside its components. */
export interface RunningControls extends AsyncDisposable {
  readonly health: Health;
  /**
   * Makes readiness fail, then drains every component in reverse order of start within the deadline, then closes them in
   * reverse order. Every component is closed, whatever fails on the way; the first error is thrown at the end. Safe to call again.
   */
  stop(options?: StopOptions): Promise<void>;
  /** Stops on SIGTERM and SIGINT. A second signal ends the process at once with exit code 1. */
  stopOnSignals(options?: StopOptions): void;
}

/** The components by the names that the definition gave them, with {@link RunningControls}. */
export type RunningInfrastructure<Components extends object> = Components & RunningControls;

/**
 * Defines an application's infrastructure in one place. Values that are not components pass through unchanged.
 *
 * @example
 * const infrastructure = defineInfrastructure(({ env }) => ({
 *   files: diskStorage({ directory: env.string('FILES', { default: 'data/files' }) }),
 * }));
 * await using app = await infrastructure.start();
 */
export function defineInfrastructure<Components extends object>(
  define: (context: InfrastructureContext) => Components | Promise<Components>,
): Infrastructure<Components> {
  return {
    async start({ env = process.env, health, signal } = {}) {
      const environment = new Environment(env);
      const components = await build(define, environment);
      const managed = Object.entries(components).filter((entry): entry is [string, Managed] =>
        isManaged(entry[1]),
      );
      const running = new Running(managed, health);
      try {
        environment.throwProblems();
        refuseTakenNames(components);
        for (const component of new Set(managed.map(([, each]) => each))) {
          if (signal?.aborted) throw abortReason(signal);
          await component.start({ signal });
        }
      } catch (error) {
        await running.stop({ deadline: 0 }).catch(() => undefined);
        throw wrapError(error, { component: 'core', operation: 'start' });
      }
      running.health.stage = 'started';
      return Object.assign(running, components);
    },
  };
}

async function build<Components extends object>(
  define: (context: InfrastructureContext) => Components | Promise<Components>,
  environment: Environment,
): Promise<Components> {
  try {
    return await define({ env: environment });
  } catch (error) {
    // What a factory says of a placeholder only hides the mistake that it stands for.
    environment.throwProblems();
    throw error;
  }
}

function refuseTakenNames(components: object): void {
  for (const name of ['health', 'stop', 'stopOnSignals', 'then'] as const) {
    if (name in components)
      throw invalidArgument(
        { component: 'core', operation: 'start' },
        `no component can be called "${name}": that name is taken by the running infrastructure`,
      );
  }
}

function isManaged(value: unknown): value is Managed {
  return (
    typeof value === 'object' &&
    value !== null &&
    (['start', 'drain', 'checkHealth', 'close'] as const).every(
      (method) => typeof (value as Partial<Managed>)[method] === 'function',
    )
  );
}

class Running implements RunningControls {
  readonly health: Health;
  readonly #managed: readonly (readonly [string, Managed])[];
  #stopping: Promise<void> | undefined;
  #forgetSignals: () => void = () => undefined;

  constructor(
    managed: readonly (readonly [string, Managed])[],
    options: HealthOptions | undefined,
  ) {
    this.#managed = managed;
    this.health = new Health(Object.fromEntries<HealthCheckable>(managed), options);
  }

  async stop({ deadline = '30s' }: StopOptions = {}): Promise<void> {
    this.#stopping ??= this.#stop(toMilliseconds(deadline));
    await this.#stopping;
  }

  stopOnSignals(options: StopOptions = {}): void {
    this.#forgetSignals();
    let signalled = false;
    const onSignal = (): void => {
      // The process is asked a second time: whoever asks no longer wants to wait.
      if (signalled) process.exit(1);
      signalled = true;
      this.stop(options).catch((error: unknown) => {
        process.exitCode = 1;
        process.emitWarning(wrapError(error, { component: 'core', operation: 'stop' }).message);
      });
    };
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, onSignal);
    this.#forgetSignals = () => {
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.off(name, onSignal);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(deadline: number): Promise<void> {
    this.health.stage = 'stopping';
    const overdue = new AbortController();
    const timer = setTimeout(
      () => {
        overdue.abort(
          new DOMException(`stop: the deadline of ${deadline} ms passed`, 'TimeoutError'),
        );
      },
      Math.min(deadline, longestTimer),
    );
    const errors: unknown[] = [];
    const attempt = async (fn: () => Promise<void>): Promise<void> => {
      try {
        await fn();
      } catch (error) {
        errors.push(error);
      }
    };
    const reversed = [...new Set(this.#managed.map(([, component]) => component))].toReversed();
    for (const component of reversed) {
      await attempt(async () => {
        await abortable(component.drain({ signal: overdue.signal }), overdue.signal);
      });
    }
    clearTimeout(timer);
    for (const component of reversed) await attempt(async () => await component.close());
    this.#forgetSignals();
    this.health.stage = 'stopped';
    const [first, ...others] = errors;
    if (first === undefined) return;
    const error = wrapError(first, { component: 'core', operation: 'stop' });
    if (others.length === 0) throw error;
    throw new InfrastructureError({
      code: error.code,
      component: 'core',
      operation: 'stop',
      message: `${errors.length} components failed to stop; the first said: ${error.message}`,
      cause: new AggregateError(errors),
    });
  }
}
