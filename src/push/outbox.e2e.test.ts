import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { isTemporaryFile } from '../core/index.ts';
import { outboxPush } from './outbox.ts';

const targets = 200;

/** A process that sends one notification to every target under one key, and prints a line for each delivery. */
function sender(directory: string): ChildProcess {
  const script = `
    import { subscribeToOperations } from ${JSON.stringify(new URL('../core/index.ts', import.meta.url).href)};
    import { outboxPush } from ${JSON.stringify(new URL('outbox.ts', import.meta.url).href)};
    const push = outboxPush({ directory: ${JSON.stringify(directory)} });
    subscribeToOperations({ end: ({ operation, attributes }) => { if (operation === 'deliver') console.log(attributes.status); } });
    const targets = Array.from({ length: ${targets} }, (_, index) => ({ kind: 'fcm', token: 'token-' + index }));
    await push.send(targets, { title: 'Issue 12 is out' }, { idempotencyKey: 'issue-12' });`;
  return spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function linesOf(child: ChildProcess, killAfter = Number.POSITIVE_INFINITY): Promise<number> {
  let lines = 0;
  const ended = new Promise((resolve) => void child.once('close', resolve));
  if (child.stdout) {
    for await (const _ of createInterface({ input: child.stdout })) {
      lines += 1;
      if (lines === killAfter) child.kill('SIGKILL');
    }
  }
  await ended;
  return lines;
}

describe('push outbox › processes', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'underpin-push-'));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('killed at several points and sent again, every target has its notification once and whole', async () => {
    for (const killAfter of [1, 30]) {
      const lines = await linesOf(sender(directory), killAfter);
      const deliveries = await Array.fromAsync(outboxPush({ directory }).native.deliveries());
      expect(deliveries.length).toBeGreaterThanOrEqual(Math.min(lines, killAfter));
    }
    await Promise.all([linesOf(sender(directory)), linesOf(sender(directory))]);
    const deliveries = await Array.fromAsync(outboxPush({ directory }).native.deliveries());
    const tokens = deliveries.map(({ target }) => (target.kind === 'fcm' ? target.token : ''));
    expect(tokens.toSorted()).toEqual(
      Array.from({ length: targets }, (_, index) => `token-${index}`).toSorted(),
    );
    const files = (await readdir(directory)).filter((name) => !isTemporaryFile(name));
    expect(files).toHaveLength(targets);
  });

  it('a disk that takes no more fails each target with one clear error and leaves no half file', async () => {
    // A limit on the size of files stands in for the full disk: the same calls fail, and no root is needed.
    const script = `
      import { outboxPush } from ${JSON.stringify(new URL('outbox.ts', import.meta.url).href)};
      const push = outboxPush({ directory: ${JSON.stringify(directory)} });
      const [result] = await push.send([{ kind: 'fcm', token: 'a' }], { title: 't', body: 'x'.repeat(2500) });
      console.log(result.status, result.error.code, result.error.outcome, result.error.message);`;
    const quoted = script.replaceAll("'", String.raw`'\''`);
    const command = `ulimit -f 1; exec '${process.execPath}' --input-type=module --eval '${quoted}'`;
    const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    const printed: string[] = [];
    if (child.stdout) {
      for await (const line of createInterface({ input: child.stdout })) printed.push(line);
    }
    expect(printed).toEqual([
      `failed resource-exhausted not-applied no space is left for the outbox in ${directory}: free some, then send again`,
    ]);
    expect(await readdir(directory)).toEqual([]);
  });
});
