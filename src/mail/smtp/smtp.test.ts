import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';

import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { failureOf } from '../../../test/support/failure.ts';
import { startProxy } from '../../../test/services/proxy.ts';
import { sharedServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { MESSAGE_LIMIT } from '../../../test/services/smtp.ts';
import { mailboxOn } from '../../../test/services/smtp-mailbox.ts';
import type { InfrastructureError } from '../../core/index.ts';
import { noPolicy, type OperationEvent, subscribeToOperations } from '../../core/index.ts';
import type { Mailer, MailMessage } from '../index.ts';
import { type SmtpMailDriver, smtpMailer, type SmtpMailerOptions } from './index.ts';

type SmtpMailer = Mailer<SmtpMailDriver>;

const canaries = /canary|readers\.example|gazette\.example/;

const message: MailMessage = {
  from: 'news@gazette.example',
  to: 'ada@readers.example',
  subject: 'canary-subject',
  text: 'canary-text',
};

/** What the error says, after a look whether it says too much. */
function told(error: InfrastructureError): unknown[] {
  const shown = `${inspect(error, { depth: 9 })}${JSON.stringify(error)}${error.message}`;
  expect(shown).not.toMatch(canaries);
  return [error.code, error.outcome, error.retryable];
}

describe('mail smtp › options', () => {
  it.each([
    ['http://mail.example', /url is not written as smtp:/],
    ['mail.example', /url is not written as smtp:/],
    ['smtp://', /no host/],
    ['smtp://mail.example/?a=canary', /nothing may follow the port/],
    ['smtp://canary@mail.example', /a user and no password/],
    ['smtp://:canary@mail.example', /a user and no password/],
    ['smtp://u:canary%zz@mail.example', /% that encodes nothing/],
  ])('%s is refused without being shown', (url, problem) => {
    const make = (): unknown => smtpMailer({ url });
    expect(make).toThrow(problem);
    expect(make).not.toThrow(/canary/);
  });

  it('a password is not shown by a mailer that is printed', () => {
    const mailer = smtpMailer({ url: 'smtp://user:canary@mail.example' });
    expect(inspect(mailer, { depth: 9, showHidden: true })).not.toContain('canary');
    expect(JSON.stringify(mailer)).not.toContain('canary');
  });
});

const { missing } = await service('smtp');

describe.skipIf(missing)('mail smtp › on a real server', () => {
  const mailers: SmtpMailer[] = [];

  afterEach(async () => {
    await Promise.all(mailers.splice(0).map(async (mailer) => await mailer.close()));
  });

  async function connected(options: Partial<SmtpMailerOptions> = {}): Promise<SmtpMailer> {
    const { options: own } = mailboxOn((await sharedServer('smtp')).url);
    const mailer = smtpMailer({ ...own, policy: noPolicy, ...options });
    mailers.push(mailer);
    return mailer;
  }

  async function urlWith(change: (url: URL) => void): Promise<string> {
    const { options } = mailboxOn((await sharedServer('smtp')).url);
    const url = new URL(String(options.url));
    change(url);
    return url.href;
  }

  it.each([
    ['a recipient that is not there', 'nobody@refused.example', 'not-found', false, /550 5\.1\.1/],
    ['a full mailbox', 'full@refused.example', 'resource-exhausted', true, /452 4\.2\.2/],
    ['a recipient to try later', 'later@refused.example', 'unavailable', true, /451 4\.3\.0/],
  ] as const)('%s: %s is %s', async (_what, to, code, retryable, text) => {
    const mailer = await connected();
    const error = await failureOf(mailer.send({ ...message, to }));
    expect(told(error)).toEqual([code, 'not-applied', retryable]);
    expect(error.message).toMatch(text);
    expect(error.message).not.toContain(to);
  });

  it('a sender of too much mail is resource-exhausted, to be tried again', async () => {
    const mailer = await connected();
    const error = await failureOf(mailer.send({ ...message, from: 'rate@refused.example' }));
    expect(told(error)).toEqual(['resource-exhausted', 'not-applied', true]);
  });

  it('a stranger who relays is permission-denied', async () => {
    const url = await urlWith((each) => {
      each.username = '';
      each.password = '';
    });
    const mailer = await connected({ url });
    const error = await failureOf(mailer.send({ ...message, to: 'ada@elsewhere.test' }));
    expect(told(error)).toEqual(['permission-denied', 'not-applied', false]);
  });

  it('a wrong password is unauthenticated at the start, and is not shown', async () => {
    const url = await urlWith((each) => {
      each.password = 'canary-password';
    });
    const mailer = await connected({ url });
    const error = await failureOf(mailer.start());
    expect(told(error)).toEqual(['unauthenticated', 'not-applied', false]);
    expect(await mailer.checkHealth()).toMatchObject({ status: 'down' });
  });

  it('a message larger than the server takes is resource-exhausted, and another one goes after it', async () => {
    const mailer = await connected();
    const content = new Uint8Array(MESSAGE_LIMIT);
    const large = { ...message, attachments: [{ filename: 'canary.bin', content }] };
    const error = await failureOf(mailer.send(large));
    expect(told(error)).toEqual(['resource-exhausted', 'not-applied', false]);
    expect((await mailer.send(message)).accepted).toEqual(['ada@readers.example']);
  });

  it('of several recipients, those that were refused are told with their reasons', async () => {
    const { options, received } = mailboxOn((await sharedServer('smtp')).url);
    const mailer = smtpMailer(options);
    mailers.push(mailer);
    const { accepted, rejected } = await mailer.send({
      ...message,
      to: ['ada@readers.example', 'nobody@refused.example'],
      bcc: 'later@refused.example',
    });
    expect(accepted).toEqual(['ada@readers.example']);
    expect(rejected.map(({ address }) => address)).toEqual([
      'nobody@refused.example',
      'later@refused.example',
    ]);
    expect(rejected.map(({ error }) => told(error as InfrastructureError))).toEqual([
      ['not-found', 'not-applied', false],
      ['unavailable', 'not-applied', true],
    ]);
    expect((await received())[0]?.envelope.to).toEqual(['ada@readers.example']);
  });

  it('a certificate of an unknown authority is failed-precondition, and the message says what to give', async () => {
    const mailer = await connected({ tls: {} });
    const error = await failureOf(mailer.start());
    expect(told(error)).toEqual(['failed-precondition', 'not-applied', false]);
    expect(error.message).toContain('tls.ca');
  });

  it('a refused connection is unavailable, and nothing was sent', async () => {
    await using proxy = await startProxy((await sharedServer('smtp')).url);
    await proxy.refuse();
    const mailer = await connected({
      url: await urlWith((each) => (each.port = portOf(proxy.url))),
    });
    expect(told(await failureOf(mailer.send(message)))).toEqual([
      'unavailable',
      'not-applied',
      true,
    ]);
  });

  it('a server that greets nobody is unavailable after the time that is given', async () => {
    await using proxy = await startProxy((await sharedServer('smtp')).url);
    proxy.stall();
    const url = await urlWith((each) => (each.port = portOf(proxy.url)));
    const mailer = await connected({ url, connectTimeout: '200ms' });
    expect(told(await failureOf(mailer.start()))).toEqual(['unavailable', 'not-applied', true]);
  });

  it('a session that was cut while it was idle costs no message: the policy makes another', async () => {
    await using proxy = await startProxy((await sharedServer('smtp')).url);
    const url = await urlWith((each) => (each.port = portOf(proxy.url)));
    const { options, received } = mailboxOn((await sharedServer('smtp')).url);
    const mailer = smtpMailer({ ...options, url });
    mailers.push(mailer);
    await mailer.send({ ...message, subject: 'first' });
    proxy.cut();
    await mailer.send({ ...message, subject: 'second' });
    expect((await received()).map(({ subject }) => subject)).toEqual(['first', 'second']);
  });

  it('an answer to the whole message that is lost leaves the outcome unknown, and it is not sent again', async () => {
    await using proxy = await startProxy((await sharedServer('smtp')).url);
    const url = await urlWith((each) => (each.port = portOf(proxy.url)));
    const { options, received } = mailboxOn((await sharedServer('smtp')).url);
    // With the default policy, which tries again what is safe.
    const mailer = smtpMailer({ ...options, url });
    mailers.push(mailer);
    await mailer.send({ ...message, subject: 'before' });
    const [before] = await received();
    // The session's answers to the envelope pass, and nothing of the one to the message.
    const envelope = '250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n';
    const perRecord = 22; // of TLS 1.3, around each answer
    proxy.cutAfter(envelope.length + 3 * perRecord + 8, 'answer');
    const error = await failureOf(mailer.send({ ...message, idempotencyKey: 'canary-key' }));
    expect(told(error)).toEqual(['unavailable', 'unknown', true]);
    await proxy.heal();
    expect((await received()).map(({ id }) => id)).toHaveLength(2);
    expect(before?.subject).toBe('before');
  });

  it('recovers by itself when the server comes back', async () => {
    await using server = await startServer('smtp');
    const { options, received } = mailboxOn(server.url);
    await using mailer = smtpMailer(options);
    await mailer.send({ ...message, subject: 'before' });
    await server.kill();
    expect((await failureOf(mailer.send(message))).code).toBe('unavailable');
    expect((await mailer.checkHealth()).status).toBe('down');
    await server.restart();
    await mailer.send({ ...message, subject: 'after' });
    expect((await mailer.checkHealth()).status).toBe('ok');
    expect((await received()).map(({ subject }) => subject)).toEqual(['before', 'after']);
  });

  it('events and errors hold neither addresses nor contents', async () => {
    const events: OperationEvent[] = [];
    const unsubscribe = subscribeToOperations({
      end: (event) => {
        if (event.component === 'mail') events.push(event);
      },
    });
    try {
      const mailer = await connected();
      await failureOf(mailer.send({ ...message, to: 'nobody@refused.example' }));
    } finally {
      unsubscribe();
    }
    const own = events.filter(({ error }) => /no such user/.test(String(error)));
    expect(own.length).toBeGreaterThan(0);
    for (const event of own) expect(inspect(event, { depth: 9 })).not.toMatch(/refused\.example/);
  });
});

function portOf(url: string): string {
  return new URL(url).port;
}

describe('mail smtp › faults at each step', () => {
  const servers: { close: () => void }[] = [];
  const mailers: SmtpMailer[] = [];

  afterEach(async () => {
    await Promise.all(mailers.splice(0).map(async (mailer) => await mailer.close()));
    for (const server of servers.splice(0)) server.close();
  });

  function made(port: number, options: Partial<SmtpMailerOptions> = {}): SmtpMailer {
    const mailer = smtpMailer({
      url: `smtp://127.0.0.1:${port}`,
      policy: noPolicy,
      ...options,
    });
    mailers.push(mailer);
    return mailer;
  }

  /** A server that behaves as it is told. */
  async function behaving(
    behaviour: SMTPServerOptions,
    options: Partial<SmtpMailerOptions> = {},
  ): Promise<SmtpMailer> {
    const server = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      logger: false,
      ...behaviour,
    });
    server.on('error', () => undefined);
    servers.push(server);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return made((server.server.address() as AddressInfo).port, options);
  }

  /** A server that answers each line by the first script that matches, and by 250 else. */
  async function scripted(
    script: (line: string, socket: Socket) => string | undefined,
    options: Partial<SmtpMailerOptions> = {},
  ): Promise<SmtpMailer> {
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      const greeting = script('greeting', socket) ?? '220 ready';
      if (greeting !== '') socket.write(`${greeting}\r\n`);
      let received = '';
      let isData = false;
      socket.on('data', (chunk) => {
        received += chunk.toString('latin1');
        for (;;) {
          const end = received.indexOf(isData ? '\r\n.\r\n' : '\r\n');
          if (end < 0) return;
          const line = isData ? 'message' : received.slice(0, end);
          received = received.slice(end + (isData ? 5 : 2));
          const fallback = line === 'DATA' ? '354 go on' : '250 ok';
          isData = false;
          const answer = script(line, socket) ?? fallback;
          isData = answer.startsWith('354');
          if (answer !== '') socket.write(`${answer}\r\n`);
        }
      });
    });
    server.listen(0, '127.0.0.1');
    servers.push(server);
    await vi.waitFor(() => expect(server.listening).toBe(true));
    return made((server.address() as AddressInfo).port, options);
  }

  const cutAt =
    (step: RegExp) =>
    (line: string, socket: Socket): string | undefined => {
      if (!step.test(line)) return undefined;
      socket.destroy();
      return '';
    };

  it.each([
    ['the greeting', /^greeting/, 'not-applied'],
    ['EHLO', /^EHLO/, 'not-applied'],
    ['MAIL FROM', /^MAIL/, 'not-applied'],
    ['RCPT TO', /^RCPT/, 'not-applied'],
    ['DATA', /^DATA/, 'not-applied'],
    ['the end of the message', /^message/, 'unknown'],
  ] as const)('a connection that is cut at %s is unavailable, %s', async (_what, step, outcome) => {
    // Its start passes, so that the fault is the message's.
    let sessions = 0;
    const cut = cutAt(step);
    const mailer = await scripted((line, socket) => {
      if (line === 'greeting') sessions += 1;
      return sessions > 1 ? cut(line, socket) : undefined;
    });
    await mailer.start();
    const error = await failureOf(mailer.send(message));
    expect(told(error)).toEqual(['unavailable', outcome, true]);
  });

  it.each([
    ['the greeting', /^greeting/, 'unavailable', 'not-applied'],
    ['MAIL FROM', /^MAIL/, 'unavailable', 'not-applied'],
    ['the end of the message', /^message/, 'deadline-exceeded', 'unknown'],
  ] as const)('a server that says nothing to %s is %s, %s', async (_what, step, code, outcome) => {
    let sessions = 0;
    const mailer = await scripted(
      (line) => {
        if (line === 'greeting') sessions += 1;
        return sessions > 1 && step.test(line) ? '' : undefined;
      },
      { connectTimeout: '1500ms', replyTimeout: '1500ms' },
    );
    await mailer.start();
    expect(told(await failureOf(mailer.send(message)))).toEqual([code, outcome, true]);
  });

  it('a connection that is cut in the middle of a large message is not-applied: its end was not sent', async () => {
    let bytes = 0;
    const server = createServer((socket) => {
      socket.on('error', () => undefined).write('220 ready\r\n');
      socket.on('data', (chunk) => {
        bytes += chunk.byteLength;
        if (bytes > 200_000) socket.destroy();
        else if (chunk.includes('DATA\r\n')) socket.write('354 go on\r\n');
        else if (/^(?:EHLO|MAIL|RCPT|QUIT)/.test(chunk.toString('latin1')))
          socket.write('250 ok\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    servers.push(server);
    await vi.waitFor(() => expect(server.listening).toBe(true));
    const mailer = made((server.address() as AddressInfo).port);
    const content = new Uint8Array(15 * 2 ** 20);
    const large = { ...message, attachments: [{ filename: 'a.bin', content }] };
    expect(told(await failureOf(mailer.send(large)))).toEqual(['unavailable', 'not-applied', true]);
  });

  it.each([
    ['421 4.3.2 going down', 'unavailable', true],
    ['421 4.7.0 too many connections', 'resource-exhausted', true],
    ['450 4.2.0 greylisted', 'unavailable', true],
    ['452 4.3.1 disk full', 'resource-exhausted', true],
    ['503 bad sequence', 'unavailable', true],
    ['501 5.1.7 bad sender <news@gazette.example>', 'invalid-argument', false],
    ['530 5.7.0 authentication required', 'unauthenticated', false],
    ['530 5.7.0 Must issue a STARTTLS command first', 'failed-precondition', false],
    ['550 5.7.1 blocked', 'permission-denied', false],
    ['552 5.3.4 too large', 'resource-exhausted', false],
    ['550 5.6.7 no UTF-8 addresses', 'unimplemented', false],
    ['554 no', 'failed-precondition', false],
  ] as const)('"%s" to the sender is %s', async (reply, code, retryable) => {
    const mailer = await scripted((line) => (line.startsWith('MAIL') ? reply : undefined));
    const error = await failureOf(mailer.send(message));
    expect(told(error)).toEqual([code, 'not-applied', retryable]);
    expect(error.details).toMatchObject({ status: Number(reply.slice(0, 3)) });
  });

  it.each([
    ['451 4.3.0 later', 'unavailable', true],
    ['550 5.7.1 it looks like spam', 'permission-denied', false],
  ] as const)(
    '"%s" to the whole message is %s, and not-applied',
    async (reply, code, retryable) => {
      const mailer = await scripted((line) => (line === 'message' ? reply : undefined));
      expect(told(await failureOf(mailer.send(message)))).toEqual([code, 'not-applied', retryable]);
    },
  );

  it('the receipt has the Message-ID that the server gave the message, where it says so', async () => {
    const reply = '250 2.0.0 OK <AM0PR@EUR.PROD.OUTLOOK.COM> [Hostname=AM0PR.eur.prod.outlook.com]';
    const mailer = await scripted((line) => (line === 'message' ? reply : undefined));
    expect((await mailer.send(message)).id).toBe('AM0PR@EUR.PROD.OUTLOOK.COM');
  });

  it('a password is never sent to a server that offers no encryption', async () => {
    const lines: string[] = [];
    const mailer = await scripted((line) => {
      lines.push(line);
      return line.startsWith('EHLO')
        ? '250-here\r\n250 AUTH PLAIN LOGIN'
        : line === 'STARTTLS'
          ? '502 5.5.1 not here'
          : undefined;
    });
    const guarded = made(Number(mailer.native.options.port), {
      url: `smtp://user:canary-password@127.0.0.1:${mailer.native.options.port}`,
    });
    const error = await failureOf(guarded.send(message));
    expect(told(error)).toEqual(['failed-precondition', 'not-applied', false]);
    expect(error.message).toContain('STARTTLS');
    const secret = Buffer.from('\u0000user\u0000canary-password').toString('base64');
    expect(lines.join('\n')).not.toMatch(/AUTH|canary/);
    expect(lines.join('\n')).not.toContain(secret);
  });

  it('what a server says of a login is not repeated', async () => {
    const mailer = await behaving({
      disabledCommands: [],
      onAuth(auth, _session, done) {
        done(new Error(`canary: ${auth.password ?? ''}`));
      },
    });
    const secured = made(Number(mailer.native.options.port), {
      url: `smtp://user:canary-password@127.0.0.1:${mailer.native.options.port}`,
      tls: { rejectUnauthorized: false },
    });
    expect(told(await failureOf(secured.start()))).toEqual([
      'unauthenticated',
      'not-applied',
      false,
    ]);
  });

  it('smtps: is encrypted from the first byte, and logs in', async () => {
    const logins = new Set<string>();
    const server: SMTPServerOptions = {
      secure: true,
      disabledCommands: [],
      onAuth({ username, password }, { secure }, done) {
        logins.add([username, password, secure].join());
        done(null, { user: username });
      },
    };
    // Who speaks plainly to it waits for a greeting that never comes.
    const plain = await behaving(server, { connectTimeout: '200ms' });
    expect(told(await failureOf(plain.start()))).toEqual(['unavailable', 'not-applied', true]);
    const mailer = made(Number(plain.native.options.port), {
      url: `smtps://us%40er:pass%2Fword@localhost:${plain.native.options.port}`,
      tls: { rejectUnauthorized: false },
    });
    expect((await mailer.send(message)).accepted).toEqual(['ada@readers.example']);
    expect([...logins]).toEqual(['us@er,pass/word,true']);
  });

  it('an abort while the server does not answer ends the send', async () => {
    const controller = new AbortController();
    const mailer = await scripted((line) => {
      if (line !== 'message') return undefined;
      controller.abort();
      return '';
    });
    const error = await failureOf(mailer.send(message, { signal: controller.signal }));
    expect(told(error)).toEqual(['cancelled', 'unknown', false]);
  });

  it('close ends a send that the server does not answer', async () => {
    const reached = Promise.withResolvers<void>();
    const mailer = await scripted((line) => {
      if (line !== 'message') return undefined;
      reached.resolve();
      return '';
    });
    const sending = failureOf(mailer.send(message));
    await reached.promise;
    await mailer.close();
    expect(told(await sending)).toEqual(['unavailable', 'unknown', true]);
  });

  it('drain waits for a send that is under way', async () => {
    const reached = Promise.withResolvers<() => void>();
    const mailer = await behaving({
      onData(stream, _session, done) {
        stream.resume();
        stream.on('end', () => reached.resolve(() => done()));
      },
    });
    const sending = mailer.send(message);
    const takeIt = await reached.promise;
    let isDrained = false;
    const draining = mailer.drain().then(() => (isDrained = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDrained).toBe(false);
    takeIt();
    await draining;
    expect((await sending).accepted).toEqual(['ada@readers.example']);
  });
});
