import { describe, expect, it } from 'vitest';

import { contextEnvelope, contextKey, currentContext, runWithContext } from './context.ts';

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

  it('its key is one for all that is nested in it, and for nothing else', async () => {
    expect(contextKey()).toBeUndefined();
    const fields = { tenant: 'a' };
    const keyOf = (): object | undefined =>
      runWithContext(fields, () => {
        const key = contextKey();
        runWithContext({ requestId: 'r' }, () => {
          expect(contextKey()).toBe(key);
          runWithContext({}, () => expect(contextKey()).toBe(key));
        });
        return key;
      });
    expect(keyOf()).toBeDefined();
    expect(keyOf()).not.toBe(keyOf());
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
