import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel';

import { type Context, currentContext } from './context.ts';
import { wrapError } from './errors.ts';

/** Facts of one operation: keys, sizes, counts, statements. Never bodies or credentials, nor parameters unless asked for. */
export type OperationAttributes = Record<string, unknown> & {
  /** What somebody should look at though the operation may have succeeded, in words. Logs write it at `warn`. */
  warning?: string;
};

/** What subscribers get: the same object at the start and at the end of an operation. */
export interface OperationEvent {
  /** The room, such as `storage`. */
  readonly component: string;
  /** The portable method, such as `put`. */
  readonly operation: string;
  /** Facts known at the start; the operation may add more until its end, such as a row count. Includes `adapter`. */
  readonly attributes: OperationAttributes;
  /** Whose work it was. */
  readonly context: Context;
  /** When it started, in milliseconds since the Unix epoch. */
  readonly startedAt: number;
  /** How long it took, in milliseconds. Set at the end. */
  durationMs?: number;
  /** What it threw, if it failed. Set at the end. */
  error?: unknown;
}

/** The calls that a subscriber gets. An exception of one never reaches the operation: it becomes a process warning. */
export interface OperationSubscriber {
  readonly start?: (event: OperationEvent) => void;
  readonly end?: (event: OperationEvent) => void;
}

type Channel = TracingChannel<OperationEvent, OperationEvent>;

const channels = new Map<string, Map<string, Channel>>();
const attachers = new Set<(channel: Channel) => void>();

/**
 * The tracing channel of an operation, named `underpin:<component>:<operation>`: `start` and `asyncEnd` carry an
 * {@link OperationEvent}, `error` comes before the `asyncEnd` of a failed one.
 */
export function operationChannel(component: string, operation: string): Channel {
  let ofComponent = channels.get(component);
  if (ofComponent === undefined)
    channels.set(component, (ofComponent = new Map<string, Channel>()));
  let channel = ofComponent.get(operation);
  if (channel === undefined) {
    channel = tracingChannel<OperationEvent, OperationEvent>(`underpin:${component}:${operation}`);
    ofComponent.set(operation, channel);
    for (const attach of attachers) attach(channel);
  }
  return channel;
}

/**
 * Runs `fn` as one operation: one event from its start to its end, for whoever has subscribed. With no subscriber it is a
 * plain call. `fn` may add to `attributes` what it learns.
 */
export function operation<Result>(
  component: string,
  name: string,
  attributes: OperationAttributes,
  fn: () => Promise<Result>,
): Promise<Result> {
  const channel = operationChannel(component, name);
  if (!channel.hasSubscribers) return fn();
  return publish(
    channel,
    { component, operation: name, attributes, context: currentContext(), startedAt: Date.now() },
    fn,
  );
}

// By hand and not by `tracePromise`, which would put the result, a body perhaps, on the event.
async function publish<Result>(
  channel: Channel,
  event: OperationEvent,
  fn: () => Promise<Result>,
): Promise<Result> {
  const started = performance.now();
  return await channel.start.runStores(event, async () => {
    try {
      return await fn();
    } catch (error) {
      event.error = error;
      event.durationMs = performance.now() - started;
      channel.error.publish(event);
      throw error;
    } finally {
      event.durationMs ??= performance.now() - started;
      channel.asyncEnd.publish(event);
    }
  });
}

/**
 * Subscribes to every operation of every component, also to those first used later. Returns the function that ends it.
 *
 * @example
 * const unsubscribe = subscribeToOperations({ end: (event) => console.log(event.component, event.operation, event.durationMs) });
 */
export function subscribeToOperations(subscriber: OperationSubscriber): () => void {
  const detachers: (() => void)[] = [];
  const attach = (channel: Channel): void => {
    const { start, end } = subscriber;
    const onStart = (message: unknown): void => guarded(start, message as OperationEvent);
    const onEnd = (message: unknown): void => guarded(end, message as OperationEvent);
    if (start) channel.start.subscribe(onStart);
    if (end) channel.asyncEnd.subscribe(onEnd);
    detachers.push(() => {
      channel.start.unsubscribe(onStart);
      channel.asyncEnd.unsubscribe(onEnd);
    });
  };
  for (const ofComponent of channels.values())
    for (const channel of ofComponent.values()) attach(channel);
  attachers.add(attach);
  return () => {
    attachers.delete(attach);
    for (const detach of detachers.splice(0)) detach();
  };
}

// Node ends the process for what a channel's subscriber throws: whoever watches must not be able to stop what is watched.
function guarded(
  listener: ((event: OperationEvent) => void) | undefined,
  event: OperationEvent,
): void {
  try {
    listener?.(event);
  } catch (error) {
    const { message } = wrapError(error, { component: 'core' });
    process.emitWarning(
      `a subscriber to operations failed at ${event.component}.${event.operation}: ${message}`,
    );
  }
}
