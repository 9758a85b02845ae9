import type { Capabilities } from './capabilities.ts';
import { currentContext } from './context.ts';
import {
  abortReason,
  type Classify,
  InfrastructureError,
  withOutcome,
  wrapError,
} from './errors.ts';
import type { ComponentHealth } from './health.ts';
import type { Managed } from './infrastructure.ts';
import { operation, type OperationAttributes } from './operation.ts';
import { abortable, noPolicy, type Policy, PolicyExecutor } from './policies.ts';

/**
 * What the driver of every room has beside the room's own methods. A driver is small and dumb: it validates nothing, emits
 * nothing, retries nothing, and throws its engine's raw errors.
 */
export interface Driver {
  /** The adapter's name, such as `disk`. */
  readonly adapter: string;
  /** What it can do, as a literal object. */
  readonly capabilities: Capabilities;
  /** The way out to the engine's own client. */
  readonly native: unknown;
  /** Maps a raw error. MUST NOT throw; gives `undefined` for an error it does not know. */
  readonly classify: Classify;
  /**
   * Connects, or makes what must be there. Called before the first other call, and again after it failed. A factory does no
   * I/O: this does. Its signal is aborted by {@link Component.close}, not by a caller: all callers wait for one start.
   */
  start?(signal?: AbortSignal): Promise<void>;
  /** Takes on no new work and resolves when what is under way is done, or the signal is aborted. */
  drain?(signal?: AbortSignal): Promise<void>;
  /**
   * Resolves when the engine answers, throws when not; gives what is wrong when it serves, but not as it should. MUST be cheap.
   */
  checkHealth?(signal?: AbortSignal): Promise<ComponentHealth | void>;
  /** Releases what the driver itself created, and never what was handed to it. Called once, also after a failed start. */
  close(): Promise<void>;
}

/** What every call of a portable class takes. */
export interface CallOptions {
  /** Cancels the call. Default: the signal of the current context, if it has one. */
  readonly signal?: AbortSignal | undefined;
}

/** What a portable class says of one of its calls to {@link Component.run}. */
export interface RunOptions extends CallOptions {
  /** Whether doing it twice is the same as doing it once, so that it may be retried. Default: no. */
  readonly repeatable?: boolean;
  /** Whether its result goes on after the call, as a stream does, so that the call's signal must still end it. Default: no. */
  readonly outlived?: boolean;
  /** Whether the policy guards the call. Default: yes; no for a call that is made of calls which it guards one by one. */
  readonly guarded?: boolean;
}

/** What the constructor of every portable class takes beside its driver. */
export interface ComponentOptions {
  /** Default {@link noPolicy}. */
  readonly policy?: Policy | undefined;
}

type State = 'new' | 'started' | 'closed';

/**
 * The base of every portable class: starts its driver on first use, and runs each call as one operation under the policy,
 * with errors wrapped once.
 */
export abstract class Component<AnyDriver extends Driver = Driver> implements Managed {
  /** The room's name, such as `storage`. */
  readonly component: string;
  protected readonly driver: AnyDriver;
  readonly #executor: PolicyExecutor | undefined;
  #state: State = 'new';
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  readonly #closed = new AbortController();

  constructor(component: string, driver: AnyDriver, options: ComponentOptions = {}) {
    this.component = component;
    this.driver = driver;
    this.policy = options.policy ?? noPolicy;
    this.#executor = this.policy === noPolicy ? undefined : new PolicyExecutor(this.policy);
  }

  /** The policy in force. */
  readonly policy: Policy;

  /** The adapter's name, such as `disk`. */
  get adapter(): string {
    return this.driver.adapter;
  }

  /** What the adapter can do. */
  get capabilities(): AnyDriver['capabilities'] {
    return this.driver.capabilities;
  }

  /** The engine's own client, for what the port does not cover. */
  get native(): AnyDriver['native'] {
    return this.driver.native;
  }

  /**
   * Connects now rather than at the first call, so that a mistake shows at once. Safe to call again. The signal ends the wait;
   * the start itself goes on for whoever else waits for it, until it is closed.
   */
  async start({ signal }: CallOptions = {}): Promise<void> {
    this.#refuseIfClosed('start');
    this.#starting ??= this.#start();
    try {
      await (signal ? abortable(this.#starting, signal) : this.#starting);
    } catch (error) {
      throw this.wrap(error, 'start', signal);
    }
  }

  /** Takes on no new work and waits for what is under way, where the adapter has such work. */
  async drain({ signal }: CallOptions = {}): Promise<void> {
    if (this.#state !== 'started') return;
    try {
      await this.driver.drain?.(signal);
    } catch (error) {
      throw this.wrap(error, 'drain', signal);
    }
  }

  /** Asks the engine whether it answers. Never rejects. */
  async checkHealth({ signal }: CallOptions = {}): Promise<ComponentHealth> {
    try {
      this.#refuseIfClosed('checkHealth');
      if (this.#state === 'new') await this.start({ signal });
      return (await this.driver.checkHealth?.(signal)) ?? { status: 'ok' };
    } catch (error) {
      return { status: 'down', message: this.wrap(error, 'checkHealth', signal).message };
    }
  }

  /** Releases everything. Later calls fail with `failed-precondition`. Safe to call again. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Whether a call may go straight to the driver: it is started, not closed, and no policy stands between. For hot paths that
   * answer from memory, where {@link Component.run} would cost more than the answer; they check their operation's subscribers too.
   */
  protected get isDirect(): boolean {
    return this.#state === 'started' && this.#executor === undefined;
  }

  /** Runs one portable method. `attributes` must be a fresh object; its event gets `adapter` added. */
  protected run<Result>(
    name: string,
    attributes: OperationAttributes,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result> {
    attributes['adapter'] = this.driver.adapter;
    return operation(this.component, name, attributes, () => this.guard(name, options, fn));
  }

  /** Wraps an error that arises outside of {@link Component.run}, such as in a stream that goes on after its call. */
  protected wrap(error: unknown, name: string, signal?: AbortSignal): InfrastructureError {
    const origin = { component: this.component, adapter: this.driver.adapter, operation: name };
    // Whatever a driver makes of an abort, the caller's reason says whether it was a deadline or a cancellation.
    if (signal?.aborted && (error === signal.reason || !InfrastructureError.is(error))) {
      return wrapError(abortReason(signal), origin);
    }
    return wrapError(error, origin, this.driver.classify);
  }

  /** {@link Component.run} without an operation of its own: for the driver's calls inside of one. */
  protected async guard<Result>(
    name: string,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result> {
    const signal = options.signal ?? currentContext().signal;
    // The start is a part of the call that waits for it, under its policy and its signal.
    const call =
      this.#state === 'started'
        ? fn
        : async (current: AbortSignal | undefined): Promise<Result> => {
            await this.#enter(name, current);
            return await fn(current);
          };
    try {
      if (signal?.aborted) throw withOutcome(this.wrap(signal.reason, name, signal), 'not-applied');
      this.#refuseIfClosed(name);
      if (this.#executor === undefined || options.guarded === false) return await call(signal);
    } catch (error) {
      throw this.wrap(error, name, signal);
    }
    return await this.#executor.execute(
      {
        origin: { component: this.component, adapter: this.driver.adapter, operation: name },
        signal,
        repeatable: options.repeatable,
        outlived: options.outlived,
        wrap: (error) => this.wrap(error, name, signal),
      },
      call,
    );
  }

  async #enter(name: string, signal: AbortSignal | undefined): Promise<void> {
    this.#refuseIfClosed(name);
    try {
      await this.start({ signal });
    } catch (error) {
      this.#refuseIfClosed(name);
      throw withOutcome(this.wrap(error, 'start', signal), 'not-applied');
    }
    this.#refuseIfClosed(name);
  }

  // Reads the state anew: it may have been closed while the caller waited.
  #refuseIfClosed(name: string): void {
    if (this.#state === 'closed') throw this.#closedError(name);
  }

  async #start(): Promise<void> {
    try {
      await this.driver.start?.(this.#closed.signal);
      if (this.#state === 'new') this.#state = 'started';
    } catch (error) {
      this.#starting = undefined;
      throw this.wrap(error, 'start', this.#closed.signal);
    }
  }

  async #close(): Promise<void> {
    this.#state = 'closed';
    this.#closed.abort(new DOMException('closed', 'AbortError'));
    await this.#starting?.catch(() => undefined);
    try {
      await this.driver.close();
    } catch (error) {
      throw this.wrap(error, 'close');
    }
  }

  #closedError(name: string): InfrastructureError {
    return new InfrastructureError({
      code: 'failed-precondition',
      component: this.component,
      adapter: this.driver.adapter,
      operation: name,
      message: `this ${this.component} is closed: use it before its owner closes it`,
    });
  }
}
