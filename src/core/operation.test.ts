import { channel as diagnosticsChannel } from 'node:diagnostics_channel';

import { describe, expect, it, vi } from 'vitest';

import { runWithContext } from './context.ts';
import { operation, type OperationEvent, subscribeToOperations } from './operation.ts';

let names = 0;
/** A component's name that no other test uses: channels live as long as the process. */
function fresh(): string {
  names += 1;
  return `test${names}`;
}

/** What is published of one component while `fn` runs. */
async function record(component: string, fn: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  const unsubscribe = subscribeToOperations({
    start: (event) => event.component === component && seen.push(`start ${event.operation}`),
    end: (event) =>
      event.component === component &&
      seen.push(`end ${event.operation} ${event.error === undefined ? 'ok' : String(event.error)}`),
  });
  try {
    await fn();
  } finally {
    unsubscribe();
  }
  return seen;
}

describe('operation', () => {
  it('gives the result of its function, watched or not', async () => {
    const component = fresh();
    expect(await operation(component, 'get', {}, async () => 'unwatched')).toBe('unwatched');
    let result = '';
    await record(component, async () => {
      result = await operation(component, 'get', {}, async () => 'watched');
    });
    expect(result).toBe('watched');
  });

  it('publishes one start and one end', async () => {
    const component = fresh();
    expect(
      await record(component, async () => await operation(component, 'get', {}, async () => 1)),
    ).toEqual(['start get', 'end get ok']);
  });

  it('a failed one publishes one start, one error and one end, and throws what its function threw', async () => {
    const component = fresh();
    const failure = new Error('no');
    const errors: unknown[] = [];
    const onError = (event: unknown): void => void errors.push((event as OperationEvent).error);
    diagnosticsChannel(`tracing:underpin:${component}:get:error`).subscribe(onError);
    const seen = await record(component, async () => {
      await expect(
        operation(component, 'get', {}, async () => {
          throw failure;
        }),
      ).rejects.toBe(failure);
    });
    diagnosticsChannel(`tracing:underpin:${component}:get:error`).unsubscribe(onError);
    expect(seen).toEqual(['start get', 'end get Error: no']);
    expect(errors).toEqual([failure]);
  });

  it('the event holds facts known at the end, the context, and how long it took', async () => {
    const component = fresh();
    const events: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => event.component === component && events.push(event),
    });
    const attributes: Record<string, unknown> = { key: 'k' };
    await runWithContext({ requestId: 'r1' }, async () => {
      await operation(component, 'get', attributes, async () => {
        attributes['size'] = 3;
        return 'body';
      });
    });
    unsubscribe();
    expect(events).toEqual([
      {
        component,
        operation: 'get',
        attributes: { key: 'k', size: 3 },
        context: { requestId: 'r1' },
        startedAt: expect.any(Number),
        durationMs: expect.any(Number),
      },
    ]);
    expect(JSON.stringify(events)).not.toContain('body');
  });

  it('what started before anybody subscribed is not published at its end', async () => {
    const component = fresh();
    const gate = Promise.withResolvers<void>();
    const early = operation(component, 'get', {}, async () => await gate.promise);
    const seen = await record(component, async () => {
      gate.resolve();
      await early;
    });
    expect(seen).toEqual([]);
  });

  it('a subscriber hears of components first used after it came', async () => {
    const component = fresh();
    const seen = await record(component, async () => {
      await operation(component, 'first', {}, async () => 1);
      await operation(component, 'second', {}, async () => 2);
    });
    expect(seen).toEqual(['start first', 'end first ok', 'start second', 'end second ok']);
  });

  it('a subscriber that left hears nothing, of known and of new operations', async () => {
    const component = fresh();
    const end = vi.fn<(event: OperationEvent) => void>();
    const unsubscribe = subscribeToOperations({ end });
    await operation(component, 'known', {}, async () => 1);
    unsubscribe();
    unsubscribe();
    end.mockClear();
    await operation(component, 'known', {}, async () => 1);
    await operation(component, 'new', {}, async () => 1);
    expect(end).not.toHaveBeenCalled();
  });

  it('the exception of a subscriber becomes a warning and never reaches the operation', async () => {
    const component = fresh();
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const boom = (event: OperationEvent): void => {
      if (event.component === component) throw new Error(`boom at redis://:hunter2@h`);
    };
    const unsubscribe = subscribeToOperations({ start: boom, end: boom });
    const seen = await record(component, async () => {
      expect(await operation(component, 'get', {}, async () => 'result')).toBe('result');
    });
    unsubscribe();
    expect(seen).toEqual(['start get', 'end get ok']);
    expect(warnings.mock.calls.map(([warning]) => warning)).toEqual([
      `a subscriber to operations failed at ${component}.get: boom at redis://[redacted]@h`,
      `a subscriber to operations failed at ${component}.get: boom at redis://[redacted]@h`,
    ]);
    warnings.mockRestore();
  });

  it('without a subscriber it makes no event and returns the very promise of its function', () => {
    const promise = Promise.resolve(1);
    expect(operation(fresh(), 'get', {}, () => promise)).toBe(promise);
  });
});
