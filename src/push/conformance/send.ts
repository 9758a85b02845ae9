import assert from 'node:assert/strict';

import type { PushTarget } from '../notification.ts';
import {
  android,
  anyTarget,
  browser,
  failsFor,
  hello,
  iphone,
  manyTargets,
  type PushCase,
  reachable,
  refuses,
  statusesOf,
} from './support.ts';

const day = 24 * 3600;

/** `unreachable` is for the adapters that do not reach its kind. */
function reaches(capability: 'webPush' | 'fcm' | 'apns', unreachable: PushTarget): PushCase {
  const { kind } = unreachable;
  return {
    id: `send › a target of kind ${kind} gets the notification under its own address`,
    requires: [capability],
    async run({ sender, deliveries, targets }) {
      const [target] = await targets(kind, 1);
      assert.ok(target);
      assert.deepEqual(await sender.send([target], hello), [{ target, status: 'delivered' }]);
      assert.deepEqual(
        (await deliveries()).map((delivery) => delivery.target),
        [target],
      );
    },
    async unsupported(subject) {
      await failsFor(subject, unreachable, 'unimplemented');
    },
  };
}

/** Rules of the push port: what arrives. */
export const sendCases: readonly PushCase[] = [
  reaches('webPush', browser()),
  reaches('fcm', android),
  reaches('apns', iphone),
  {
    id: 'send › everything that a notification says arrives',
    async run(subject) {
      const content = {
        title: 'Größe 🎉',
        body: 'Zeile eins\nZeile zwei, „so“',
        data: { article: '12', empty: '' },
        icon: '/icon.png',
        url: 'https://gazette.example/12?a=1#top',
      };
      await subject.sender.send([await anyTarget(subject)], {
        ...content,
        ttl: '2h',
        urgency: 'high',
        collapseKey: 'issue_12-a',
      });
      const [delivery] = await subject.deliveries();
      assert.deepEqual(delivery?.content, content);
      assert.equal(delivery.ttlSeconds, 7200);
      assert.equal(delivery.urgency, 'high');
      assert.equal(delivery.collapseKey, 'issue_12-a');
    },
  },
  {
    id: 'send › a title is enough: 28 days to live, normal urgency, no collapse key',
    async run(subject) {
      await subject.sender.send([await anyTarget(subject)], hello);
      const [delivery] = await subject.deliveries();
      assert.deepEqual(delivery?.content, { title: 'Issue 12 is out' });
      assert.equal(delivery.ttlSeconds, 28 * day);
      assert.equal(delivery.urgency, 'normal');
      assert.equal(delivery.collapseKey, undefined);
      assert.equal(delivery.idempotencyKey, undefined);
    },
  },
  {
    id: 'send › a time to live may be nothing, and parts of a second count as one',
    async run(subject) {
      const target = await anyTarget(subject);
      await subject.sender.send([target], { ...hello, ttl: 0 });
      await subject.sender.send([target], { ...hello, ttl: '1500ms' });
      await subject.sender.send([target], { ...hello, ttl: '28d' });
      assert.deepEqual(
        (await subject.deliveries()).map(({ ttlSeconds }) => ttlSeconds),
        [0, 2, 28 * day],
      );
    },
  },
  {
    id: 'send › each target gets its own, and the results are in the order of the targets',
    async run(subject) {
      const targets = [
        ...(await reachable(subject)),
        ...(await manyTargets(subject, 200)).slice(2),
      ];
      const results = await subject.sender.send(targets, hello);
      assert.deepEqual(
        results.map(({ target }) => target),
        targets,
      );
      assert.deepEqual(new Set(statusesOf(results)), new Set(['delivered']));
      const delivered = (await subject.deliveries()).map(({ target }) => JSON.stringify(target));
      assert.deepEqual(
        delivered.toSorted(),
        targets.map((target) => JSON.stringify(target)).toSorted(),
      );
    },
  },
  {
    id: 'send › no targets are no results',
    async run({ sender, deliveries }) {
      assert.deepEqual(await sender.send([], hello), []);
      assert.deepEqual(await deliveries(), []);
    },
  },
  {
    id: 'send › a target that is named twice gets one, and has two results',
    async run(subject) {
      const target = await anyTarget(subject);
      const results = await subject.sender.send([target, { ...target }, target], hello);
      assert.deepEqual(statusesOf(results), ['delivered', 'delivered', 'delivered']);
      assert.equal((await subject.deliveries()).length, 1);
    },
  },
  {
    id: 'send › notifications arrive in the order in which they were sent',
    async run(subject) {
      const titles = Array.from({ length: 12 }, (_, index) => `number ${index}`);
      for (const title of titles) await subject.sender.send([await anyTarget(subject)], { title });
      assert.deepEqual(
        (await subject.deliveries()).map(({ content }) => content.title),
        titles,
      );
    },
  },
  {
    id: 'send › equal notifications without a key are as many deliveries',
    async run(subject) {
      await subject.sender.send([await anyTarget(subject)], hello);
      await subject.sender.send([await anyTarget(subject)], hello);
      assert.equal((await subject.deliveries()).length, 2);
    },
  },
  {
    id: 'send › what is done later to the sender’s objects changes nothing',
    async run(subject) {
      const data = { article: '12' };
      const target = structuredClone(await anyTarget(subject)) as { kind: string };
      const expected = structuredClone(target);
      await subject.sender.send([target as PushTarget], { ...hello, data });
      data.article = '13';
      target.kind = 'changed';
      const [delivery] = await subject.deliveries();
      assert.deepEqual(delivery?.content.data, { article: '12' });
      assert.deepEqual(delivery.target, expected);
    },
  },
  {
    id: 'send › 3 KiB arrive, and a byte more is refused',
    async run(subject) {
      const overhead = JSON.stringify({ title: 't', body: '' }).length;
      await refuses(subject, { title: 't', body: 'x'.repeat(3 * 1024 - overhead + 1) });
      await refuses(subject, { title: 't', body: 'ü'.repeat(1600) });
      const body = 'x'.repeat(3 * 1024 - overhead);
      await subject.sender.send([await anyTarget(subject)], { title: 't', body });
      assert.equal((await subject.deliveries())[0]?.content.body, body);
    },
  },
];
