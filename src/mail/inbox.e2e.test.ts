import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { isTemporaryFile } from '../core/index.ts';
import { inboxMailer } from './inbox.ts';

const module = JSON.stringify(new URL('inbox.ts', import.meta.url).href);
const total = 60;

/** A process that sends `total` messages, four at a time, each under its own key, and prints each receipt's id. */
function sender(directory: string, name: string): ChildProcess {
  const script = `
    import { inboxMailer } from ${module};
    const mailer = inboxMailer({ directory: ${JSON.stringify(directory)}, from: 'news@gazette.example' });
    let next = 0;
    await Promise.all(Array.from({ length: 4 }, async () => {
      while (next < ${total}) {
        const idempotencyKey = 'article/' + next++;
        const { id } = await mailer.send({ to: 'ada@readers.example', subject: ${JSON.stringify(name)}, text: 'x'.repeat(20000), idempotencyKey });
        console.log(id);
      }
    }));`;
  return spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** Runs a process to its end, or kills it after it has printed so many lines. Resolves to the lines. */
async function linesOf(
  child: ChildProcess,
  killAfter = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const lines: string[] = [];
  const ended = new Promise((resolve) => void child.once('close', resolve));
  if (child.stdout) {
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (lines.length === killAfter) child.kill('SIGKILL');
    }
  }
  await ended;
  return lines;
}

/** Runs a script in a process of its own and gives what it printed. */
async function output(command: string, args: readonly string[]): Promise<string> {
  return (await linesOf(spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }))).join('\n');
}

describe('inbox › processes', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'underpin-inbox-'));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('killed at several points and started again, every message is there once and whole, and no receipt was false', async () => {
    const promised = new Set<string>();
    for (const killAfter of [1, 7, 23]) {
      for (const id of await linesOf(sender(directory, `killed after ${killAfter}`), killAfter))
        promised.add(id);
      const messages = await Array.fromAsync(inboxMailer({ directory }).native.messages());
      expect(messages.length).toBeLessThan(total);
      const ids = messages.map(({ id }) => id);
      expect([...promised].filter((id) => !ids.includes(id))).toEqual([]);
    }
    await linesOf(sender(directory, 'last'));
    const messages = await Array.fromAsync(inboxMailer({ directory }).native.messages());
    expect(messages.map(({ idempotencyKey }) => idempotencyKey ?? '').toSorted()).toEqual(
      Array.from({ length: total }, (_, index) => `article/${index}`).toSorted(),
    );
    for (const { text } of messages) expect(text?.length).toBe(20_000);
  });

  it('three that send the same keys at once deliver each message once, and get the same receipts', async () => {
    const receipts = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => await linesOf(sender(directory, name))),
    );
    const messages = await Array.fromAsync(inboxMailer({ directory }).native.messages());
    const ids = messages.map(({ id }) => id).toSorted();
    expect(new Set(ids).size).toBe(total);
    for (const lines of receipts) expect(lines.toSorted()).toEqual(ids);
    expect((await readdir(directory)).filter(isTemporaryFile)).toEqual([]);
  });

  it('a disk that takes no more is one clear error, leaves no half message and the key free', async () => {
    // A limit on the size of files stands in for the full disk: the same calls fail, and no root is needed.
    const script = `
      import { inboxMailer } from ${module};
      const mailer = inboxMailer({ directory: ${JSON.stringify(directory)}, from: 'news@gazette.example' });
      const message = { to: 'ada@readers.example', subject: 's', idempotencyKey: 'k' };
      await mailer.send({ ...message, text: 'x'.repeat(100000) }).then(console.log, ({ code, outcome, message }) => console.log(code, outcome, message));
      await mailer.send({ ...message, text: 'small' });`;
    const quoted = script.replaceAll("'", String.raw`'\''`);
    const printed = await output('sh', [
      '-c',
      `ulimit -f 40; exec '${process.execPath}' --input-type=module --eval '${quoted}'`,
    ]);
    expect(printed).toBe(
      `resource-exhausted not-applied no space is left for the inbox in ${directory}: free some, then send again`,
    );
    const messages = await Array.fromAsync(inboxMailer({ directory }).native.messages());
    expect(messages.map(({ text }) => text)).toEqual(['small']);
    expect(await readdir(directory)).toHaveLength(1);
  });

  it('a folder that may not be written is one clear error at start', async () => {
    const locked = join(directory, 'locked');
    await mkdir(locked);
    await chmod(locked, 0o555);
    await chmod(directory, 0o755);
    // Root may write anything: it becomes nobody, once the module is loaded.
    const script = `
      import { inboxMailer } from ${module};
      if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534); }
      for (const directory of ${JSON.stringify([locked, join(locked, 'new')])}) {
        await inboxMailer({ directory }).start().catch(({ code, message }) => console.log(code, message));
      }`;
    const printed = await output(process.execPath, ['--input-type=module', '--eval', script]);
    expect(printed).toBe(
      [locked, join(locked, 'new')]
        .map(
          (path) =>
            `permission-denied the inbox in ${path} cannot be read and written: give this process's user the right to`,
        )
        .join('\n'),
    );
  });
});
