import { describe, expect, it } from 'vitest';

import { requireCapability } from './capabilities.ts';

describe('requireCapability', () => {
  const capabilities = { signedUrls: true, versions: false };

  it('lets a declared one through', () => {
    requireCapability(capabilities, 'signedUrls', { component: 'storage', adapter: 'disk' });
  });

  it('refuses an absent one as unimplemented, and says who lacks what', () => {
    expect(() => {
      requireCapability(capabilities, 'versions', {
        component: 'storage',
        adapter: 'disk',
        operation: 'get',
      });
    }).toThrow(
      expect.objectContaining({
        code: 'unimplemented',
        outcome: 'not-applied',
        operation: 'get',
        details: { capability: 'versions' },
        message: 'the disk adapter of storage has no versions: choose an adapter that declares it',
      }),
    );
    expect(() => {
      requireCapability(capabilities, 'versions', { component: 'storage' });
    }).toThrow('storage has no versions');
  });
});
