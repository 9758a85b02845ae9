import assert from 'node:assert/strict';

import {
  android,
  anyTarget,
  browser,
  failsFor,
  hello,
  iphone,
  keys,
  manyTargets,
  type PushCase,
  refuses,
  statusesOf,
} from './support.ts';

/** 65 bytes that begin like a public key, and are no point of the curve. */
const noPoint = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 7)]).toString('base64url');

/** Rules of the push port: what is refused, for all targets or for one. */
export const refuseCases: readonly PushCase[] = [
  {
    id: 'refuse › a notification without a title, or with something else than texts',
    async run(subject) {
      for (const title of [undefined, null, '', '  ', 7, {}]) await refuses(subject, { title });
      for (const body of [null, 7, {}]) await refuses(subject, { body });
      for (const data of [null, 'x', { a: 1 }, { a: undefined }, { a: { b: 'c' } }])
        await refuses(subject, { data });
    },
  },
  {
    id: 'refuse › a URL that leads to anything but a page',
    async run(subject) {
      for (const url of [
        '',
        'javascript:alert(1)',
        'data:text/html,x',
        'file:///etc/passwd',
        '12',
        '//evil.example/',
        '/\\evil.example',
        'https://',
        '/a\nb',
        7,
      ]) {
        await refuses(subject, { url });
        await refuses(subject, { icon: url });
      }
    },
  },
  {
    id: 'refuse › a time to live, an urgency or a collapse key that some service would not take',
    async run(subject) {
      for (const ttl of [-1, Number.NaN, Number.POSITIVE_INFINITY, '29d', 'soon'])
        await refuses(subject, { ttl });
      for (const urgency of ['', 'HIGH', 'urgent', 7]) await refuses(subject, { urgency });
      for (const collapseKey of ['', 'a b', 'ä', 'a'.repeat(33), 'a/b', 7])
        await refuses(subject, { collapseKey });
    },
  },
  {
    id: 'target › one that is malformed fails alone, under a message that keeps it secret',
    async run(subject) {
      const web = browser();
      const bad: readonly unknown[] = [
        undefined,
        null,
        {},
        'secret',
        { kind: 'sms', number: 'secret' },
        { ...web, endpoint: '' },
        { ...web, endpoint: 'secret' },
        { ...web, endpoint: '/secret' },
        { ...web, endpoint: 'http://push.browser.example/secret' },
        { ...web, endpoint: 'https://user:secret@push.browser.example/' },
        { ...web, endpoint: `https://push.browser.example/${'a'.repeat(2048)}` },
        { ...web, endpoint: 'ftp://push.browser.example/secret' },
        { ...web, keys: undefined },
        { ...web, keys: {} },
        { ...web, keys: { ...keys, auth: '' } },
        { ...web, keys: { ...keys, auth: 'short' } },
        { ...web, keys: { ...keys, p256dh: keys.auth } },
        { ...web, keys: { ...keys, p256dh: `${keys.p256dh}!` } },
        { ...web, keys: { ...keys, p256dh: noPoint } },
        { ...android, token: '' },
        { ...android, token: 'secret token' },
        { ...android, token: 'a'.repeat(4097) },
        { ...android, token: 7 },
        { ...android, token: 'secret\r\nx: y' },
        { ...iphone, token: '' },
        { ...iphone, token: 'secret' },
        { ...iphone, token: '../secret' },
        { ...iphone, topic: '' },
        { ...iphone, topic: 'secret topic' },
        { ...iphone, topic: undefined },
      ];
      for (const target of bad) await failsFor(subject, target, 'invalid-argument');
    },
  },
  {
    id: 'target › one that fails does not keep the others from theirs',
    async run(subject) {
      const [first, second] = await manyTargets(subject, 2);
      assert.ok(first && second);
      const results = await subject.sender.send([first, { kind: 'fcm', token: '' }, second], hello);
      assert.deepEqual(statusesOf(results), ['delivered', 'failed', 'delivered']);
      assert.equal((await subject.deliveries()).length, 2);
    },
  },
  {
    id: 'target › one that is gone is told as such, and the others get theirs',
    requires: ['goneTargets'],
    async run(subject) {
      const targets = await manyTargets(subject, 3);
      const [, gone] = targets;
      assert.ok(gone);
      await subject.retire(gone);
      const results = await subject.sender.send(targets, hello);
      assert.deepEqual(
        results,
        targets.map((target) => ({ target, status: target === gone ? 'gone' : 'delivered' })),
      );
      assert.equal((await subject.deliveries()).length, 2);
    },
    async unsupported(subject) {
      const targets = await manyTargets(subject, 3);
      assert.deepEqual(statusesOf(await subject.sender.send(targets, hello)), [
        'delivered',
        'delivered',
        'delivered',
      ]);
    },
  },
  {
    id: 'target › one that is gone is gone again, under the same key too',
    requires: ['goneTargets'],
    async run(subject) {
      const target = await anyTarget(subject);
      await subject.retire(target);
      for (const attempt of ['first', 'second']) {
        const results = await subject.sender.send([target], hello, { idempotencyKey: 'k' });
        assert.deepEqual(statusesOf(results), ['gone'], attempt);
      }
      assert.equal((await subject.deliveries()).length, 0);
    },
    async unsupported(subject) {
      const targets = [await anyTarget(subject)];
      const results = await subject.sender.send(targets, hello, { idempotencyKey: 'k' });
      assert.deepEqual(statusesOf(results), ['delivered']);
    },
  },
];
