import { randomBytes, randomUUID } from 'node:crypto';

import { InfrastructureError } from 'underpin/core';

import { normalizeEmail, type Subscriber } from '../domain/subscriber.ts';
import type { Newsroom } from './newsroom.ts';

/** Subscribes an address; a second time changes nothing. Throws a `BrokenRule` for what is no address. */
export async function subscribe(
  { subscribers, now }: Newsroom,
  address: string,
): Promise<Subscriber> {
  const email = normalizeEmail(address);
  const known = await subscribers.findByEmail(email);
  if (known !== undefined) return known;
  try {
    return await subscribers.insert({
      id: randomUUID(),
      email,
      token: randomBytes(24).toString('base64url'),
      subscribedAt: now(),
    });
  } catch (error) {
    // Two requests at once: the other one was first.
    const winner = InfrastructureError.is(error, 'already-exists')
      ? await subscribers.findByEmail(email)
      : undefined;
    if (winner === undefined) throw error;
    return winner;
  }
}

/** Unsubscribes who holds the token. Gives whether anybody was subscribed with it. */
export async function unsubscribe({ subscribers }: Newsroom, token: string): Promise<boolean> {
  const subscriber = await subscribers.findByToken(token);
  if (subscriber === undefined) return false;
  await subscribers.delete(subscriber.id);
  return true;
}
