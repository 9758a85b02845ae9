import assert from 'node:assert/strict';

import {
  InfrastructureError,
  type OperationEvent,
  subscribeToOperations,
} from '../../core/index.ts';
import { anyTarget, hello, manyTargets, type PushCase } from './support.ts';

/** Rules of the push port: cancellation, life and events. */
export const lifecycleCases: readonly PushCase[] = [
  {
    id: 'cancel › an aborted signal delivers nothing',
    async run(subject) {
      await assert.rejects(
        subject.sender.send([await anyTarget(subject)], hello, { signal: AbortSignal.abort() }),
        (error) => InfrastructureError.is(error, 'cancelled') && error.outcome === 'not-applied',
      );
      assert.equal((await subject.deliveries()).length, 0);
    },
  },
  {
    id: 'cancel › a deadline that has passed is told as such',
    async run(subject) {
      const signal = AbortSignal.abort(new DOMException('too late', 'TimeoutError'));
      await assert.rejects(
        subject.sender.send([await anyTarget(subject)], hello, { signal }),
        (error) => InfrastructureError.is(error, 'deadline-exceeded'),
      );
      assert.equal((await subject.deliveries()).length, 0);
    },
  },
  {
    id: 'cancel › after an abort on the way, every target has a result, and what is told as delivered is',
    async run(subject) {
      const controller = new AbortController();
      const targets = await manyTargets(subject, 300);
      const unsubscribe = subscribeToOperations({
        end: ({ component, operation }) => {
          if (component === 'push' && operation === 'deliver') controller.abort();
        },
      });
      const { signal } = controller;
      const results = await subject.sender.send(targets, hello, { signal }).finally(unsubscribe);
      assert.equal(results.length, 300);
      const delivered = results.filter(({ status }) => status === 'delivered').length;
      for (const result of results) {
        if (result.status !== 'delivered')
          assert.ok(
            result.status === 'failed' && InfrastructureError.is(result.error, 'cancelled'),
          );
      }
      assert.ok(delivered < 300, 'the abort came to nothing');
      assert.ok((await subject.deliveries()).length >= delivered);
    },
  },
  {
    id: 'life › a send after close is refused, and a second close is nothing',
    async run(subject) {
      const target = await anyTarget(subject);
      await subject.sender.send([target], hello);
      await subject.sender.close();
      await subject.sender.close();
      await assert.rejects(subject.sender.send([target], hello), (error) =>
        InfrastructureError.is(error, 'failed-precondition'),
      );
    },
  },
  {
    id: 'life › health is ok while the engine works and down after close',
    async run({ sender }) {
      assert.deepEqual(await sender.checkHealth(), { status: 'ok' });
      await sender.close();
      assert.equal((await sender.checkHealth()).status, 'down');
    },
  },
  {
    id: 'event › a send is one operation and each delivery another, without tokens, endpoints or contents',
    async run(subject) {
      const events: OperationEvent[] = [];
      const unsubscribe = subscribeToOperations({
        end: (event) => {
          if (event.component === 'push') events.push(event);
        },
      });
      try {
        await subject.sender.send(await manyTargets(subject, 2), {
          title: 'secret',
          collapseKey: 'secret',
          url: '/secret',
        });
      } finally {
        unsubscribe();
      }
      const { kind } = await anyTarget(subject);
      const { adapter } = subject.sender;
      assert.deepEqual(
        events.map(({ operation }) => operation),
        ['deliver', 'deliver', 'send'],
      );
      assert.deepEqual(events[0]?.attributes, { kind, adapter, status: 'delivered' });
      const { size, ...counts } = events[2]?.attributes ?? {};
      assert.deepEqual(counts, { adapter, targets: 2, delivered: 2, gone: 0, failed: 0 });
      assert.ok(Number(size) > 10);
      assert.doesNotMatch(
        JSON.stringify(events.map(({ attributes }) => attributes)),
        /secret|example/,
      );
    },
  },
];
