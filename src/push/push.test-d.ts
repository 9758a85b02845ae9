import { describe, expectTypeOf, it } from 'vitest';

import type { InfrastructureError } from '../core/index.ts';
import type { Outbox, PushNotification, PushResult, PushSender, PushTarget } from './index.ts';
import { memoryPush } from './memory.ts';
import { outboxPush } from './outbox.ts';
import { webPush, type WebPushDriver } from './web-push/index.ts';

declare const browsers: PushSender<WebPushDriver>;
declare const result: PushResult;

const web = {
  kind: 'web-push',
  endpoint: 'https://x.example/',
  keys: { p256dh: '', auth: '' },
} as const;
const fcm = { kind: 'fcm', token: 't' } as const;

describe('types of push', () => {
  it('a target has the fields of its kind', () => {
    void (web satisfies PushTarget);
    // @ts-expect-error an app on APNs has a topic
    void ({ kind: 'apns', token: 'ab' } satisfies PushTarget);
    // @ts-expect-error there is no such kind
    void ({ kind: 'sms', token: 't' } satisfies PushTarget);
    expectTypeOf<PushTarget['kind']>().toEqualTypeOf<'web-push' | 'fcm' | 'apns'>();
  });

  it('a kind that the adapter does not reach does not compile', () => {
    expectTypeOf(browsers.send([web], { title: 't' })).resolves.toEqualTypeOf<PushResult[]>();
    // @ts-expect-error the adapter reaches browsers only
    void browsers.send([fcm], { title: 't' });
    void browsers.send([web], { title: 't' }, { idempotencyKey: 'k' });
    void memoryPush().send([web, fcm], { title: 't' }, { idempotencyKey: 'k' });
  });

  it('a failed result has its error, and no other', () => {
    expectTypeOf<
      Extract<PushResult, { status: 'failed' }>['error']
    >().toEqualTypeOf<InfrastructureError>();
    // @ts-expect-error only a failed one has an error
    void result.error;
  });

  it('a notification has a title, and texts for the app', () => {
    void ({ title: 't', ttl: '1h', data: { id: '1' } } satisfies PushNotification);
    // @ts-expect-error there is no title
    void ({ body: 'b' } satisfies PushNotification);
    // @ts-expect-error push services carry texts only
    void ({ title: 't', data: { id: 1 } } satisfies PushNotification);
    // @ts-expect-error there is no such urgency
    void ({ title: 't', urgency: 'urgent' } satisfies PushNotification);
    expectTypeOf<PushNotification['title']>().toEqualTypeOf<string>();
  });

  it('every sender is a PushSender, and the embedded ones have an outbox', () => {
    expectTypeOf(memoryPush()).toExtend<PushSender>();
    expectTypeOf(outboxPush({ directory: 'd' })).toExtend<PushSender>();
    expectTypeOf(webPush).returns.toExtend<PushSender>();
    expectTypeOf(outboxPush({ directory: 'd' }).native).toEqualTypeOf<Outbox>();
  });
});
