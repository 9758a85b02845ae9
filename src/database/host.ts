import type { CallOptions, Clock, InfrastructureError, RunOptions } from '../core/index.ts';
import type { Ambient } from './ambient.ts';
import type { DatabaseDriver } from './driver.ts';
import type { HeldConnections } from './held-connections.ts';

/** What transactions and statements need of the Database that they belong to: its parts, and what every component does. */
export interface DatabaseHost {
  readonly driver: DatabaseDriver;
  readonly clock: Clock;
  readonly ambient: Ambient;
  /** Undefined when nobody wants to know. */
  readonly held: HeldConnections | undefined;
  start(options?: CallOptions): Promise<void>;
  guard<Result>(
    name: string,
    options: RunOptions,
    fn: (signal: AbortSignal | undefined) => Promise<Result>,
  ): Promise<Result>;
  wrap(error: unknown, name: string, signal?: AbortSignal): InfrastructureError;
}
