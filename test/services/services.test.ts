import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { SERVICE_USES_VARIABLE, type Service } from './services.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'underpin-services-'));
  vi.resetModules();
  vi.stubEnv(SERVICE_USES_VARIABLE, path.join(folder, 'uses'));
  vi.stubEnv('REQUIRE_SERVICES', undefined);
  vi.stubEnv('CHROMIUM_PATH', undefined);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

/** A fresh copy of the module: it remembers what it found. */
async function findChromium(): Promise<Service> {
  const { service } = await import('./services.ts');
  return service('chromium');
}

function uses(): unknown[] {
  const lines = readFileSync(path.join(folder, 'uses'), 'utf8').trimEnd().split('\n');
  return lines.map((line): unknown => JSON.parse(line));
}

describe('services › service', () => {
  test('the environment names the address, and the use is recorded', async () => {
    vi.stubEnv('CHROMIUM_PATH', process.execPath);
    const chromium = await findChromium();
    expect(chromium.missing).toBeUndefined();
    expect(chromium.address).toBe(process.execPath);
    expect(uses()).toEqual([{ name: 'chromium', address: process.execPath }]);
  });

  test('an installed binary is found by its absolute path', async () => {
    const binary = path.join(folder, 'chromium');
    writeFileSync(binary, '#!/bin/sh\necho Chromium 1\n', { mode: 0o755 });
    vi.stubEnv('PATH', folder);
    expect((await findChromium()).address).toBe(binary);
  });

  test('a binary that does not run is not used', async () => {
    writeFileSync(path.join(folder, 'chromium'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    vi.stubEnv('PATH', folder);
    expect((await findChromium()).missing).toContain('npm run services -- install chromium');
  });

  test('a missing service carries the reason for the skip, and its address throws it', async () => {
    vi.stubEnv('PATH', folder);
    const chromium = await findChromium();
    expect(chromium.missing).toContain('chromium was not found');
    expect(() => chromium.address).toThrow('chromium was not found');
    expect(uses()).toEqual([{ name: 'chromium', missing: chromium.missing }]);
  });

  test('who is not root is not told to install what only root can start', async () => {
    vi.stubEnv('SMTP_URL', undefined);
    vi.spyOn(process, 'getuid').mockReturnValue(1000);
    const { service } = await import('./services.ts');
    const { missing } = await service('smtp');
    expect(missing).toBe('smtp was not found: be root, who alone can start it, or set SMTP_URL');
  });

  test('with REQUIRE_SERVICES=1 a missing service is an error', async () => {
    vi.stubEnv('PATH', folder);
    vi.stubEnv('REQUIRE_SERVICES', '1');
    await expect(findChromium()).rejects.toThrow('chromium was not found');
  });

  test('what only a person can install is skipped, with REQUIRE_SERVICES=1 too, and says how', async () => {
    vi.stubEnv('PATH', folder);
    vi.stubEnv('MOTO_URL', undefined);
    vi.stubEnv('REQUIRE_SERVICES', '1');
    const { service } = await import('./services.ts');
    const { missing } = await service('moto');
    expect(missing).toBe('moto was not found: run `pip install "moto[server]"` or set MOTO_URL');
  });

  test('a variable that leads nowhere is an error, not a skip', async () => {
    vi.stubEnv('CHROMIUM_PATH', path.join(folder, 'nothing'));
    await expect(findChromium()).rejects.toThrow('CHROMIUM_PATH is');
  });
});
