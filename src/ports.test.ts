import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';

import { expect, it } from 'vitest';

it('importing the ports loads nothing else and gives nothing at run time', () => {
  const url = new URL('./ports.ts', import.meta.url);
  const compiled = stripTypeScriptTypes(readFileSync(url, 'utf8'));
  expect(compiled.replace(/^\/\/.*$/m, '').trim()).toBe('');

  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
    const ports = await import(${JSON.stringify(url.href)});
    console.log(JSON.stringify([loaded.length, Object.keys(ports)]));`;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(JSON.parse(output)).toEqual([1, []]);
});
