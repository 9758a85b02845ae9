export type { Outbox, PushDelivery, PushDeliveryState } from './delivery.ts';
export type { OutgoingPush, PushCapabilities, PushDriver } from './driver.ts';
export type {
  ApnsTarget,
  FcmTarget,
  PushContent,
  PushNotification,
  PushResult,
  PushTarget,
  PushUrgency,
  WebPushTarget,
} from './notification.ts';
export { PushSender, type PushSendOptions, type PushTargetOf } from './push.ts';
