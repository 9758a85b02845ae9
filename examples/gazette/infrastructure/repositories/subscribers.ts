import type { Repository } from 'underpin/ports';

import type { Subscriber, SubscriberRepository } from '../../domain/subscriber.ts';

/** Adds what the newspaper asks of its subscribers to a repository on any adapter. */
export function subscriberRepository(base: Repository<Subscriber>): SubscriberRepository {
  return Object.assign(base, {
    findByEmail: (email: string): Promise<Subscriber | undefined> => base.findOne({ email }),
    findByToken: (token: string): Promise<Subscriber | undefined> => base.findOne({ token }),
  });
}
