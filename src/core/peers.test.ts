import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { describe, expect, it } from 'vitest';

import { importPeer } from './peers.ts';

function moduleNotFound(message: string, code = 'ERR_MODULE_NOT_FOUND'): Error {
  return Object.assign(new Error(message), { code });
}

describe('importPeer', () => {
  it('gives the module', async () => {
    const path = await importPeer('underpin/x', 'node:path', async () => await import('node:path'));
    expect(path.join).toBe(join);
  });

  it('a missing peer is named with its install line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'underpin-peers-'));
    const module = join(folder, 'adapter.mjs');
    writeFileSync(module, `export const load = () => import('@acme/sdk');`);
    const { load } = (await import(/* @vite-ignore */ pathToFileURL(module).href)) as {
      load: () => Promise<unknown>;
    };
    await expect(importPeer('underpin/acme', '@acme/sdk', load)).rejects.toMatchObject({
      code: 'failed-precondition',
      message:
        'underpin/acme needs the optional peer "@acme/sdk", which is not installed. Run: npm install @acme/sdk',
    });
    rmSync(folder, { recursive: true });
  });

  it('a peer that is there and lacks something of its own says so itself', async () => {
    const failure = moduleNotFound(
      `Cannot find package 'left-pad' imported from /app/node_modules/@acme/sdk/index.js`,
    );
    await expect(
      importPeer('underpin/acme', '@acme/sdk', async () => await Promise.reject(failure)),
    ).rejects.toBe(failure);
  });

  it('a peer that fails while it loads says so itself', async () => {
    const failure = new TypeError('broken');
    await expect(
      importPeer('underpin/acme', '@acme/sdk', async () => await Promise.reject(failure)),
    ).rejects.toBe(failure);
  });
});
