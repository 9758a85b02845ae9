import { describe, expect, test } from 'vitest';

import { definitionOf, serverNames } from './definitions.ts';
import { startServer } from './servers.ts';
import { service } from './services.ts';

describe.each(serverNames)('services › startServer › %s', async (name) => {
  const { missing } = await service(name);

  test.skipIf(missing)('serves on its address, and again after it was killed', async () => {
    const { answers } = definitionOf(name);
    await using server = await startServer(name);
    expect(await answers(server.url)).toBe(true);
    await server.kill();
    expect(await answers(server.url)).toBe(false);
    await server.restart();
    expect(await answers(server.url)).toBe(true);
  });
});
