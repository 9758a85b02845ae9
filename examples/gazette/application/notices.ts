import { createHash } from 'node:crypto';

import type { PushTarget } from 'underpin/ports';

import type { Device } from '../domain/device.ts';
import type { Newsroom } from './newsroom.ts';

/** Registers a device for notices; a second time changes nothing. */
export async function registerDevice(
  { devices, now }: Newsroom,
  target: PushTarget,
): Promise<Device> {
  const id = createHash('sha256').update(JSON.stringify(target)).digest('hex');
  return (await devices.findById(id)) ?? (await devices.save({ id, target, registeredAt: now() }));
}

/**
 * Shows a notice of an article on every device, and forgets the devices that are gone. Throws what is worth another try, which
 * reaches only those that it has not reached yet.
 */
export async function pushArticleToDevices(
  newsroom: Newsroom,
  articleId: string,
  signal?: AbortSignal,
): Promise<void> {
  const { articles, devices, push, composeNotice, siteUrl } = newsroom;
  const article = await articles.findById(articleId);
  if (article === undefined) return;
  const registered = await devices.find({});
  if (registered.length === 0) return;
  const notice = composeNotice(
    article,
    `${siteUrl()}/articles/${encodeURIComponent(article.slug)}`,
  );
  const targets = registered.map(({ target }) => target);
  const results = await push.send(targets, notice, {
    idempotencyKey: `article ${articleId}`,
    signal,
  });
  for (const [index, result] of results.entries()) {
    const device = registered[index];
    if (device !== undefined && result.status === 'gone') await devices.delete(device.id);
  }
  for (const result of results) {
    if (result.status === 'failed' && result.error.retryable) throw result.error;
  }
}
