import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { exchange, freePort, isRunning, signalTrees } from './processes.ts';

/** Processes that a shell starts one after the other, and their ids, as this shell prints them. */
async function tree(script: string): Promise<readonly number[]> {
  const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  for await (const chunk of shell.stdout) {
    output += String(chunk);
    if (output.endsWith('end\n')) break;
  }
  return [shell.pid ?? 0, ...output.split('\n').map(Number).filter(Boolean)];
}

describe.skipIf(!existsSync('/proc/self/stat'))('services › processes', () => {
  test('a signal reaches all that descend from a process, and their ids come back', async () => {
    const [shell = 0, ...children] = await tree(
      `sleep 60 & echo $!; sh -c 'sleep 60 & echo $!; echo end; wait'; wait`,
    );
    const signalled = signalTrees([shell], 'SIGKILL');
    expect(signalled).toEqual(expect.arrayContaining([shell, ...children]));
    for (const pid of signalled) await expect.poll(() => isRunning(pid)).toBe(false);
  });

  test('a process that has ended does not run, also while nobody has asked how it ended', async () => {
    // Becomes a program that never asks.
    const [shell = 0, child = 0] = await tree(`sleep 0 & echo $!; echo end; exec sleep 60`);
    try {
      await expect.poll(() => isRunning(child)).toBe(false);
      expect(() => process.kill(child, 0)).not.toThrow();
      expect(isRunning(shell)).toBe(true);
    } finally {
      signalTrees([shell], 'SIGKILL');
    }
  });

  test('a port is free, and none that the system gives to others', async () => {
    const port = await freePort();
    expect(port).toBeLessThan(32_768);
    expect(await exchange(`tcp://127.0.0.1:${port}`)).toBe(false);
  });
});
