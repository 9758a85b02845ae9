import { describe, expect, it } from 'vitest';

import { contextEnvelope, currentContext, runWithContext } from './context.ts';

describe('context', () => {
  it('is empty and frozen outside of any', () => {
    expect(currentContext()).toEqual({});
    expect(Object.isFrozen(currentContext())).toBe(true);
    expect(contextEnvelope()).toBeUndefined();
  });

  it('follows every await, and inner fields are added to outer ones', async () => {
    await runWithContext({ requestId: 'r', tenant: 'a' }, async () => {
      await Promise.resolve();
      await runWithContext({ tenant: 'b' }, async () => {
        await Promise.resolve();
        expect(currentContext()).toEqual({ requestId: 'r', tenant: 'b' });
      });
      expect(currentContext()).toEqual({ requestId: 'r', tenant: 'a' });
    });
    expect(currentContext()).toEqual({});
  });

  it('two that run beside each other do not mix', async () => {
    const seen = await Promise.all(
      ['a', 'b'].map(
        async (requestId) =>
          await runWithContext(
            { requestId },
            async () => await Promise.resolve().then(() => currentContext().requestId),
          ),
      ),
    );
    expect(seen).toEqual(['a', 'b']);
  });

  it('its envelope carries what can be written down, and not the signal', () => {
    const { signal } = new AbortController();
    runWithContext({ signal }, () => {
      expect(contextEnvelope()).toBeUndefined();
    });
    runWithContext({ signal, requestId: 'r', traceparent: '00-a-b-01' }, () => {
      expect(contextEnvelope()).toEqual({ requestId: 'r', traceparent: '00-a-b-01' });
    });
  });
});
