import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** A worker that runs in processes of its own, by a script beside this file that takes where the jobs are, and the lease. */
export class WorkerProcesses {
  readonly #script: string;
  readonly #target: string;

  constructor(script: string, target: string) {
    this.#script = path.join(import.meta.dirname, script);
    this.#target = target;
  }

  /** Starts one and kills it, without any warning, once so many handlers have started. */
  async killAfter(starts: number): Promise<void> {
    const worker = this.#start(300);
    const ended = once(worker, 'exit');
    let seen = 0;
    for await (const _ of createInterface({ input: worker.stdout })) {
      seen += 1;
      if (seen === starts) worker.kill('SIGKILL');
    }
    const [, signal] = (await ended) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');
  }

  /** Lets one do all that is left. */
  async finish(lease: number): Promise<void> {
    const worker = this.#start(lease);
    worker.stdout.resume();
    assert.deepEqual(await once(worker, 'exit'), [0, null]);
  }

  #start(lease: number): ChildProcessByStdio<null, Readable, null> {
    const args = ['--conditions=underpin-source', this.#script, this.#target, String(lease)];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  }
}
