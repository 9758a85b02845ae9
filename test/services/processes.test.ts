import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { exchange, firstThatRuns, freePort, isRunning, onPath, signalTrees } from './processes.ts';

const python = await firstThatRuns(onPath(['python3']));

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
    // Becomes a program that never asks; the child ends only then, for a shell asks.
    const [shell = 0, child = 0] = await tree(
      `(until [ "$(cat /proc/$$/comm)" = sleep ]; do :; done) & echo $!; echo end; exec sleep 60`,
    );
    try {
      await expect.poll(() => isRunning(child)).toBe(false);
      expect(() => process.kill(child, 0)).not.toThrow();
      expect(isRunning(shell)).toBe(true);
    } finally {
      signalTrees([shell], 'SIGKILL');
    }
  });

  test.skipIf(python === undefined)(
    'a process whose first thread alone has ended still runs, for the others hold its ports',
    async () => {
      const program = [
        'import ctypes, threading, time',
        'threading.Thread(target=time.sleep, args=(60,)).start()',
        'print("end", flush=True)',
        'ctypes.CDLL(None).pthread_exit(None)',
      ].join('\n');
      const [shell = 0] = await tree(`exec ${python} -c '${program}'`);
      try {
        const stat = (): string => readFileSync(`/proc/${shell}/stat`, 'utf8');
        await expect.poll(stat, { timeout: 10_000 }).toContain(') Z ');
        expect(isRunning(shell)).toBe(true);
      } finally {
        signalTrees([shell], 'SIGKILL');
      }
      await expect.poll(() => isRunning(shell)).toBe(false);
    },
  );

  test('a port is free, and none that the system gives to others', async () => {
    const port = await freePort();
    expect(port).toBeLessThan(32_768);
    expect(await exchange(`tcp://127.0.0.1:${port}`)).toBe(false);
  });
});
