import { createHash } from 'node:crypto';

import type { PushTarget } from 'underpin/ports';

import type { Device } from '../domain/device.ts';
import { pushArticle } from './jobs.ts';
import type { Newsroom } from './newsroom.ts';

/** Registers a device for notices; a second time changes nothing. */
export async function registerDevice(
  { devices, now }: Newsroom,
  target: PushTarget,
): Promise<Device> {
  const id = createHash('sha256').update(JSON.stringify(target)).digest('hex');
  return (await devices.findById(id)) ?? (await devices.save({ id, target, registeredAt: now() }));
}

/** Enqueues one notice for each device, all in one transaction: what fails for one device is tried again for that one alone. */
export async function fanOutNotices(newsroom: Newsroom, articleId: string): Promise<void> {
  const { queue, devices, unitOfWork } = newsroom;
  const payloads: { articleId: string; deviceId: string }[] = [];
  for await (const device of devices.stream()) payloads.push({ articleId, deviceId: device.id });
  if (payloads.length === 0) return;
  await unitOfWork.transaction(() => queue.enqueueMany(pushArticle, payloads));
}

/**
 * Shows a notice of an article on a device, and forgets the device if it is gone. The key makes a push service that keeps keys
 * show it once, however often the job runs. Throws what is worth another try.
 */
export async function pushArticleTo(
  newsroom: Newsroom,
  { articleId, deviceId }: { readonly articleId: string; readonly deviceId: string },
  signal?: AbortSignal,
): Promise<void> {
  const { articles, devices, push, composeNotice, siteUrl } = newsroom;
  const article = await articles.findById(articleId);
  const device = await devices.findById(deviceId);
  if (article === undefined || device === undefined) return;
  const notice = composeNotice(
    article,
    `${siteUrl()}/articles/${encodeURIComponent(article.slug)}`,
  );
  const [result] = await push.send([device.target], notice, {
    idempotencyKey: `article ${articleId}`,
    signal,
  });
  if (result?.status === 'gone') await devices.delete(device.id);
  if (result?.status === 'failed' && result.error.retryable) throw result.error;
}
