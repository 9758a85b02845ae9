import type { Repository } from 'underpin/ports';

import { BrokenRule } from './broken-rule.ts';

/** Somebody who gets every new article by mail. */
export interface Subscriber {
  readonly id: string;
  /** Trimmed and in lower case; unique. */
  readonly email: string;
  /** A secret that only their mails carry: who has it may unsubscribe them. */
  readonly token: string;
  readonly subscribedAt: Date;
}

/** Where subscribers are kept. */
export interface SubscriberRepository extends Repository<Subscriber> {
  findByEmail(email: string): Promise<Subscriber | undefined>;
  findByToken(token: string): Promise<Subscriber | undefined>;
}

/** Gives the address in the form in which it is kept. Throws {@link BrokenRule} when it cannot be one. */
export function normalizeEmail(email: string): string {
  const address = email.trim().toLowerCase();
  // What is certain without sending: the mailer refuses what it cannot address.
  if (
    address.length > 254 ||
    !/^[^\s@<>",;:\\()[\]]+@[^\s@<>",;:\\()[\]]+\.[^\s@<>",;:\\()[\].]{2,}$/.test(address)
  ) {
    throw new BrokenRule('email', 'this is not an e-mail address: write it like name@example.org');
  }
  return address;
}
