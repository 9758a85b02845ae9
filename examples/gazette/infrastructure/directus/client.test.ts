import { afterEach, beforeEach, expect, test, vi } from 'vitest';

beforeEach(() => {
  for (const name of ['URL', 'TOKEN', 'EMAIL', 'PASSWORD'])
    vi.stubEnv(`DIRECTUS_${name}`, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

test('getDirectusClient › without settings, it names every one that is missing', async () => {
  const { getDirectusClient } = await import('./client.ts');
  await expect(getDirectusClient()).rejects.toThrow(
    /DIRECTUS_URL[^]*DIRECTUS_EMAIL[^]*DIRECTUS_PASSWORD/,
  );
});
