import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { PassThrough, Writable } from 'node:stream';

import { describe, expect, it, vi } from 'vitest';

import {
  defineInfrastructure,
  fakeClock,
  InfrastructureError,
  operation,
  Redacted,
  runWithContext,
} from '../core/index.ts';
import { createLogger, type Logger, type LoggerOptions, logOperations } from './index.ts';

interface Line {
  readonly [field: string]: unknown;
  readonly level: string;
  readonly msg?: string;
}

interface Recorded {
  readonly log: Logger;
  readonly lines: Line[];
  /** The only line. */
  readonly line: () => Line;
}

function record(options: LoggerOptions = {}): Recorded {
  const lines: Line[] = [];
  const destination = {
    write: (line: string): void => {
      expect(line.endsWith('\n')).toBe(true);
      lines.push(JSON.parse(line) as Line);
    },
  };
  const log = createLogger({ level: 'trace', destination, ...options });
  const line = (): Line => {
    expect(lines).toHaveLength(1);
    return lines[0] as Line;
  };
  return { log, lines, line };
}

describe('a line', () => {
  it('is JSON with level, time, process, fields and message', () => {
    const { log, line } = record({
      name: 'shop',
      fields: { version: '1.2' },
      clock: fakeClock(1000),
    });
    log.info({ orderId: 7 }, 'order placed');
    expect(line()).toEqual({
      level: 'info',
      time: 1000,
      pid: process.pid,
      hostname: expect.any(String) as unknown,
      name: 'shop',
      version: '1.2',
      orderId: 7,
      msg: 'order placed',
    });
  });

  it.each(['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const)(
    'of level %s is written with its name',
    (level) => {
      const { log, line } = record();
      log[level]('said');
      expect(line()).toMatchObject({ level, msg: 'said' });
    },
  );

  it('holds what is known of the work under way, and its own fields win', async () => {
    const { log, lines } = record();
    await runWithContext(
      {
        requestId: 'r',
        tenant: 't',
        traceparent: '00-a-b-01',
        signal: new AbortController().signal,
      },
      async () => {
        await Promise.resolve();
        log.info('within');
        log.info({ tenant: 'own' }, 'own');
      },
    );
    log.info('outside');
    expect(lines).toMatchObject([
      { requestId: 'r', tenant: 't', traceparent: '00-a-b-01' },
      { requestId: 'r', tenant: 'own' },
      {},
    ]);
    expect(lines[0]).not.toHaveProperty('signal');
    expect(lines[2]).not.toHaveProperty('requestId');
  });

  it('of a child holds the fields of both, redacted', () => {
    const { log, line } = record({ fields: { app: 'shop' } });
    log
      .child({ job: 5, credentials: { password: 'hunter2' } })
      .child({ attempt: 1 })
      .info({ step: 2 }, 'x');
    expect(line()).toMatchObject({
      app: 'shop',
      job: 5,
      credentials: '[redacted]',
      attempt: 1,
      step: 2,
    });
  });

  it('does not hold a percent sign’s guess', () => {
    const { log, line } = record();
    log.info('100%s of %d');
    expect(line().msg).toBe('100%s of %d');
  });
});

describe('level', () => {
  it('decides what is written, and can be changed', () => {
    const { log, lines } = record({ level: 'warn' });
    log.info('no');
    expect([log.level, log.isLevelEnabled('info'), log.isLevelEnabled('error')]).toEqual([
      'warn',
      false,
      true,
    ]);
    log.level = 'info';
    log.info('yes');
    log.level = 'silent';
    log.fatal('no');
    expect(lines.map(({ msg }) => msg)).toEqual(['yes']);
  });

  it('is info by default', () => {
    expect(createLogger({ destination: { write: () => undefined } }).level).toBe('info');
  });

  it('one that is not known is refused with the list', () => {
    const wrong = expect.objectContaining({
      code: 'invalid-argument',
      message:
        '"loud" is not a log level: give one of trace, debug, info, warn, error, fatal, silent',
    }) as Error;
    expect(() => createLogger({ level: 'loud' as 'info' })).toThrow(wrong);
    const { log } = record();
    expect(() => {
      log.level = 'loud' as 'info';
    }).toThrow(wrong);
    expect(log.level).toBe('trace');
  });

  it('what is below it is not even looked at', () => {
    const { log } = record({ level: 'info' });
    const read = vi.fn<() => string>(() => 'value');
    log.debug({
      get costly() {
        return read();
      },
    });
    expect(read).not.toHaveBeenCalled();
  });
});

describe('redaction', () => {
  const secret = 'hunter2';

  it.each<[string, Record<string, unknown>]>([
    ['at the top', { password: secret }],
    ['deep within', { a: { b: { c: { d: { e: { userPassword: secret } } } } } }],
    ['within arrays', { users: [{ name: 'a' }, { name: 'b', token: secret }] }],
    [
      'in headers of any spelling',
      {
        headers: {
          Authorization: secret,
          'Set-Cookie': [secret],
          'x-api-key': secret,
          'X-Auth-Token': secret,
        },
      },
    ],
    [
      'in snake and camel case',
      {
        access_token: secret,
        refreshToken: secret,
        client_secret: secret,
        awsSecretAccessKey: secret,
        private_key: secret,
      },
    ],
    ['as an object', { credentials: { user: 'a', value: secret } }],
    ['as a number', { pin: 'hunter2', password: 'hunter2' }],
    ['as a Redacted under any key', { value: new Redacted(secret), list: [new Redacted(secret)] }],
    [
      'in a URL',
      { address: `postgres://app:${secret}@db/shop`, other: new URL(`https://u:${secret}@h/`) },
    ],
    ['in a Map', { map: new Map([['password', secret]]) }],
    ['in what toJSON gives', { value: { toJSON: () => ({ secret }) } }],
    [
      'in an own __proto__',
      JSON.parse(
        `{"__proto__":{"password":"${secret}"},"a":{"__proto__":{"token":"${secret}"}}}`,
      ) as Record<string, unknown>,
    ],
    ['as bytes', { body: Buffer.from(secret), view: new TextEncoder().encode(secret) }],
    [
      'in an error’s details',
      {
        err: new InfrastructureError({
          code: 'internal',
          component: 'x',
          message: 'x',
          details: { nested: { apiKey: secret } },
        }),
      },
    ],
    ['in an error’s message', { err: new Error(`at redis://:${secret}@h`) }],
    [
      'in an error’s cause',
      {
        err: new Error('outer', {
          cause: new Error(`GET https://h/?token=${secret}`, { cause: { password: secret } }),
        }),
      },
    ],
    [
      'in an error’s properties',
      {
        err: Object.assign(new Error('x'), {
          password: secret,
          config: { headers: { authorization: secret }, data: secret },
        }),
      },
    ],
    [
      'in an aggregate’s errors',
      { reason: new AggregateError([Object.assign(new Error('x'), { token: secret })]) },
    ],
  ])('hides a secret %s', (_where, fields) => {
    const { log, line } = record();
    log.info(fields, `see https://h/?token=${secret}`);
    expect(JSON.stringify(line())).not.toContain(secret);
    expect(JSON.stringify(line())).toContain('[redacted]');
  });

  it('hides a numeric secret, and leaves what only counts tokens or says whether there is one', () => {
    const { log, line } = record();
    log.info({
      password: 1234,
      promptTokens: 512,
      tokens: ['a'],
      hasPassword: true,
      secret: null,
      author: 'a',
      passenger: 'b',
      spinner: 'c',
    });
    expect(line()).toMatchObject({
      password: '[redacted]',
      promptTokens: 512,
      tokens: '[redacted]',
      hasPassword: true,
      secret: null,
      author: 'a',
      passenger: 'b',
      spinner: 'c',
    });
  });

  it('takes further words, whatever their spelling', () => {
    const { log, line } = record({ redact: ['iban', 'social-security'] });
    log.info({ customer: { IBAN: 'DE1', social_security_number: '2', name: 'n' } });
    expect(line()).toMatchObject({
      customer: { IBAN: '[redacted]', social_security_number: '[redacted]', name: 'n' },
    });
  });

  it('does not change what it was given', () => {
    const { log } = record();
    const fields = Object.freeze({
      user: Object.freeze({ password: secret, list: Object.freeze([new Redacted('x')]) }),
    });
    log.info(fields);
    expect(fields.user.password).toBe(secret);
  });

  it('holds for pino’s own logger too', () => {
    const { log, line } = record();
    log.native.child({ token: secret, nested: { a: 1 } }).info({ deep: { password: secret } }, 'x');
    expect(line()).toMatchObject({ deep: { password: '[redacted]' } });
  });

  it('survives rings, depth, breadth, and objects that throw when read', () => {
    const { log, lines } = record();
    const ring: Record<string, unknown> = { name: 'ring' };
    ring['self'] = ring;
    let deep: Record<string, unknown> = { password: secret };
    for (let depth = 0; depth < 5000; depth += 1) deep = { deep };
    // 2^40 paths, no ring.
    let wide: unknown[] = [];
    for (let depth = 0; depth < 40; depth += 1) wide = [wide, wide];
    const broken = {
      get bad(): string {
        throw new Error('read');
      },
    };
    log.info({ ring, broken, deep, wide, big: 5n, fine: 1 });
    log.info(broken as Record<string, unknown>, 'still told');
    expect(lines[0]).toMatchObject({
      ring: { name: 'ring', self: '[circular]' },
      broken: '[unreadable]',
      big: '5',
      fine: 1,
    });
    expect(JSON.stringify(lines[0]).length).toBeLessThan(100_000);
    expect(lines[1]).toMatchObject({ fields: '[unreadable]', msg: 'still told' });
    expect(JSON.stringify(lines)).not.toContain(secret);
  });
});

describe('errors', () => {
  it('as the first argument is written as err, with its message as the line’s', () => {
    const { log, lines } = record();
    const error = Object.assign(new TypeError('broke'), {
      code: 'E_X',
      status: 500,
      request: { body: 'b' },
    });
    log.error(error);
    log.error(error, 'while packing');
    expect(lines).toMatchObject([
      {
        msg: 'broke',
        err: {
          name: 'TypeError',
          message: 'broke',
          code: 'E_X',
          status: 500,
          stack: expect.stringContaining('logger.test') as unknown,
        },
      },
      { msg: 'while packing', err: { message: 'broke' } },
    ]);
    expect(lines[0]?.['err']).not.toHaveProperty('request');
  });

  it('of ours are written with their facts, and each cause with its stack', () => {
    const { log, line } = record();
    const root = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    log.error(
      new InfrastructureError({
        code: 'unavailable',
        component: 'cache',
        adapter: 'redis',
        operation: 'get',
        message: 'no answer',
        details: { host: 'h' },
        cause: root,
      }),
    );
    expect(line()['err']).toMatchObject({
      name: 'InfrastructureError',
      code: 'unavailable',
      component: 'cache',
      adapter: 'redis',
      operation: 'get',
      outcome: 'unknown',
      retryable: true,
      details: { host: 'h' },
      cause: {
        name: 'Error',
        message: 'connect ECONNREFUSED',
        code: 'ECONNREFUSED',
        stack: expect.any(String) as unknown,
      },
    });
  });

  it('with several errors, or a ring of causes, end', () => {
    const { log, lines } = record();
    const first = new Error('first');
    first.cause = new Error('second', { cause: first });
    log.warn(first);
    log.warn({ reason: new AggregateError([new Error('one'), 'two'], 'both') }, 'x');
    expect(lines[0]).toMatchObject({ err: { cause: { message: 'second', cause: '[circular]' } } });
    expect(lines[1]).toMatchObject({
      reason: { message: 'both', errors: [{ message: 'one' }, 'two'] },
    });
  });
});

describe('destination', () => {
  it('that throws disturbs nobody, is warned of once, and shows in the health until it takes lines again', async () => {
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    let isFull = true;
    const log = createLogger({
      destination: {
        write: () => {
          if (isFull) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
        },
      },
    });
    log.info('lost');
    log.info('lost too');
    expect(warnings).toHaveBeenCalledExactlyOnceWith('log lines are lost: no space left on device');
    expect(await log.checkHealth()).toEqual({
      status: 'degraded',
      message: 'log lines were lost: no space left on device',
    });
    isFull = false;
    log.info('taken');
    expect(await log.checkHealth()).toEqual({ status: 'ok' });
    warnings.mockRestore();
  });

  it('that is a stream which fails disturbs nobody', async () => {
    const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const stream = new Writable({
      write: (_chunk, _encoding, done) => {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const log = createLogger({ destination: stream });
    log.info('lost');
    await new Promise((resolve) => setImmediate(resolve));
    log.info('lost too');
    await log.close();
    expect((await log.checkHealth()).status).toBe('degraded');
    expect(warnings).toHaveBeenCalledOnce();
    warnings.mockRestore();
  });

  it('that is a stream has taken every line when close resolves, and is left open', async () => {
    const taken: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        setImmediate(() => {
          taken.push(chunk.toString());
          done();
        });
      },
    });
    const log = createLogger({ destination: stream });
    for (let index = 0; index < 5; index += 1) log.info(`line ${index}`);
    await log.close();
    expect(taken.filter((line) => line !== '')).toHaveLength(5);
    expect(stream.writable).toBe(true);
    await log.close();
  });

  it('that nobody reads any more does not hold up close once it is destroyed', async () => {
    const stream = new PassThrough({ highWaterMark: 1 });
    const log = createLogger({ destination: stream });
    log.info('stuck');
    log.info('stuck');
    const closing = log.close();
    stream.destroy();
    await expect(closing).resolves.toBeUndefined();
  });
});

describe('standard output, in a process of its own', () => {
  const module = new URL('./index.ts', import.meta.url).href;
  const script = `
    import { createLogger } from ${JSON.stringify(module)};
    const log = createLogger();
    for (let index = 0; index < 20; index += 1) log.info({ index }, 'x'.repeat(100_000));
    const { status } = await log.checkHealth();
    process.stderr.write('survived ' + status);`;
  const run = (
    stdout: 'pipe' | number,
  ): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(
      process.execPath,
      ['--conditions=underpin-source', '--input-type=module', '-e', script],
      {
        stdio: ['ignore', stdout, 'pipe'],
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      },
    );

  it('every line is there when the process ends', () => {
    const { status, stdout, stderr } = run('pipe');
    expect([status, stderr]).toEqual([0, 'survived ok']);
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { index: number }).index),
    ).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  it.skipIf(process.platform !== 'linux')('a full disk neither ends nor hangs the process', () => {
    const full = openSync('/dev/full', 'w');
    const { status, stderr } = run(full);
    closeSync(full);
    expect(status).toBe(0);
    expect(stderr).toContain('survived degraded');
    expect(stderr).toContain('log lines are lost: ENOSPC');
  });

  it.skipIf(process.platform === 'win32')(
    'a reader that went away does not end the process',
    () => {
      const { status, stderr } = spawnSync(
        'sh',
        [
          '-c',
          '{ "$0" --conditions=underpin-source --input-type=module -e "$1"; echo "ended $?" >&2; } | head -c 10 >/dev/null',
          process.execPath,
          script,
        ],
        {
          encoding: 'utf8',
        },
      );
      expect(status).toBe(0);
      expect(stderr).toMatch(/survived \w+.*ended 0/s);
    },
  );
});

describe('format', () => {
  it('pretty writes for people, redacted too', () => {
    const written: string[] = [];
    const log = createLogger({
      format: 'pretty',
      destination: { write: (line) => written.push(line) },
    });
    log.error(Object.assign(new Error('broke'), { password: 'hunter2' }), 'order failed');
    const text = written.join('');
    expect(text).toMatch(/ERROR.*: order failed/);
    expect(text).toContain('at ');
    expect(text).not.toContain('hunter2');
  });

  it('one that is not known is refused with the list', () => {
    expect(() => createLogger({ format: 'xml' as 'json' })).toThrow(
      '"xml" is not a log format: give one of auto, json, pretty',
    );
  });

  it('auto writes JSON where standard output is no terminal, or the destination is another', () => {
    const { log, line } = record({ format: 'auto' });
    log.info('x');
    expect(line().msg).toBe('x');
  });
});

describe('logOperations', () => {
  it('writes a line for each operation: debug when it succeeded, warn or error when it failed', async () => {
    const { log, lines } = record();
    const stop = logOperations(log);
    const fail = async (failure: Error): Promise<void> => {
      const failing = operation(
        'storage',
        'put',
        { adapter: 'disk', key: 'a' },
        async () => await Promise.reject(failure),
      );
      await expect(failing).rejects.toBe(failure);
    };
    await runWithContext(
      { requestId: 'r' },
      async () =>
        await operation(
          'storage',
          'get',
          { adapter: 'disk', size: 3 },
          async () => await Promise.resolve(1),
        ),
    );
    await fail(
      new InfrastructureError({ code: 'not-found', component: 'storage', message: 'no such file' }),
    );
    await fail(
      new InfrastructureError({ code: 'unavailable', component: 'storage', message: 'down' }),
    );
    await fail(new Error('raw'));
    stop();
    await operation('storage', 'get', {}, async () => await Promise.resolve(1));
    expect(lines).toMatchObject([
      {
        level: 'debug',
        msg: 'storage.get',
        component: 'storage',
        operation: 'get',
        requestId: 'r',
        attributes: { adapter: 'disk', size: 3 },
        durationMs: expect.any(Number) as unknown,
      },
      { level: 'warn', msg: 'storage.put failed: no such file', err: { code: 'not-found' } },
      { level: 'error', msg: 'storage.put failed: down', err: { code: 'unavailable' } },
      { level: 'error', msg: 'storage.put failed: raw', err: { message: 'raw' } },
    ]);
    expect(lines).toHaveLength(4);
  });
});

describe('life', () => {
  it('fits an infrastructure: it is flushed with it, and can still be heard after', async () => {
    const { log, lines } = record();
    const app = await defineInfrastructure(() => ({ log })).start({ env: {} });
    expect(await app.health.check()).toEqual({
      status: 'ok',
      components: { log: { status: 'ok' } },
    });
    app.log.info('running');
    await app.stop();
    app.log.info('stopped');
    expect(lines.map(({ msg }) => msg)).toEqual(['running', 'stopped']);
  });
});
