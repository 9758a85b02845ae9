import { mailArticle } from './jobs.ts';
import type { Newsroom } from './newsroom.ts';

/** Enqueues one mail for each subscriber, all in one transaction, however many they are. */
export async function fanOutNewsletter(newsroom: Newsroom, articleId: string): Promise<void> {
  const { queue, subscribers, unitOfWork } = newsroom;
  const payloads: { articleId: string; subscriberId: string }[] = [];
  for await (const subscriber of subscribers.stream())
    payloads.push({ articleId, subscriberId: subscriber.id });
  if (payloads.length === 0) return;
  await unitOfWork.transaction(() => queue.enqueueMany(mailArticle, payloads));
}

/**
 * Mails an article to a subscriber who is still one. The key makes the mailer deliver it once, however often the job runs:
 * jobs run again after a crash.
 */
export async function mailArticleTo(
  newsroom: Newsroom,
  { articleId, subscriberId }: { readonly articleId: string; readonly subscriberId: string },
  signal?: AbortSignal,
): Promise<void> {
  const { articles, subscribers, mailer, sender, composeLetter, siteUrl } = newsroom;
  const subscriber = await subscribers.findById(subscriberId);
  const article = await articles.findById(articleId);
  if (subscriber === undefined || article === undefined) return;
  const unsubscribe = `${siteUrl()}/unsubscribe/${subscriber.token}`;
  const letter = composeLetter(article, {
    article: `${siteUrl()}/articles/${encodeURIComponent(article.slug)}`,
    unsubscribe,
  });
  await mailer.send(
    {
      from: sender,
      to: subscriber.email,
      ...letter,
      ...(isPrivate(unsubscribe) ? { unsubscribe: { url: unsubscribe } } : {}),
      idempotencyKey: `article ${articleId} to ${subscriberId}`,
    },
    { signal },
  );
}

// Mail programs post to it by themselves, which mailers allow only where nobody listens in; the link in the text stays.
function isPrivate(url: string): boolean {
  return /^(?:https:|http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])[:/])/.test(url);
}
