import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { parseReceivedMail, type ReceivedMail } from '../../src/mail/index.ts';
import type { SmtpMailerOptions } from '../../src/mail/smtp/index.ts';

/** What one client of an SMTP server of the tests sent, read back from where the server delivered it. */
export interface SmtpMailbox {
  /** What `smtpMailer` needs to send as this client. */
  readonly options: Pick<SmtpMailerOptions, 'url' | 'name' | 'tls'>;
  /** What the server took from this client so far, in that order, once it has delivered all of it. */
  readonly received: () => Promise<ReceivedMail[]>;
}

/** The headers that Postfix writes above a message, and what it tells by them. */
const TRACE =
  /^Return-Path: <(?<from>[^>]*)>\n(?:X-Original-To: .*\n)?(?:Delivered-To: .*\n)?Received: from (?<client>\S+) .*\n(?:[\t ].*\n)*?[\t ].* id (?<message>\w+).*\n(?:[\t ].*\n)*/;

/** A client of its own on the server with this address. */
export function mailboxOn(address: string): SmtpMailbox {
  const url = new URL(address);
  url.search = '';
  const client = `client-${randomBytes(8).toString('hex')}.example`;
  return {
    options: {
      url: url.href,
      name: client,
      tls: { ca: readFileSync(path.join(folderOf(address), 'certificate.pem')) },
    },
    received: async () => await deliveredOn(address, client),
  };
}

/** What the server with this address took so far, from one client or from all, in that order, once it has delivered all of it. */
export async function deliveredOn(address: string, client?: string): Promise<ReceivedMail[]> {
  const folder = folderOf(address);
  await whenDelivered(folder);
  const inbox = path.join(folder, 'mail', 'inbox', 'new');
  const messages = new Map<string, { from: string; raw: Buffer }>();
  for (const file of existsSync(inbox) ? readdirSync(inbox) : []) {
    const copy = readFileSync(path.join(inbox, file));
    const trace = TRACE.exec(copy.toString('latin1'));
    if (!trace?.groups) throw new Error(`${file} is not as Postfix writes it`);
    const { from = '', message = '' } = trace.groups;
    if (client !== undefined && trace.groups['client'] !== client) continue;
    // A folder's files have the machine's line ends.
    const raw = copy.subarray(trace[0].length).toString('latin1').replaceAll('\n', '\r\n');
    messages.set(message, { from, raw: Buffer.from(raw, 'latin1') });
  }
  const recipients = recipientsIn(readFileSync(path.join(folder, 'log'), 'utf8'));
  const sorted = [...messages].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return await Promise.all(
    sorted.map(async ([message, { from, raw }]) => {
      const [, id = ''] = /^Message-ID: <(.*)>\r$/im.exec(raw.toString('latin1')) ?? [];
      return await parseReceivedMail(raw, {
        id,
        idempotencyKey: undefined,
        receivedAt: new Date(),
        envelope: { from, to: recipients.get(message) ?? [] },
      });
    }),
  );
}

function folderOf(address: string): string {
  const folder = new URL(address).searchParams.get('folder');
  if (folder === null) throw new Error('SMTP_URL names no folder with what was delivered');
  return folder;
}

/** Accepted recipients by message. From the log, since Postfix delivers one copy to addresses that differ in case alone. */
function recipientsIn(log: string): Map<string, string[]> {
  const recipients = new Map<string, string[]>();
  for (const [, message = '', to = ''] of log.matchAll(
    / (\w+): info: RCPT from .*? to=<(.*?)> proto=/g,
  ))
    recipients.set(message, [...(recipients.get(message) ?? []), to]);
  return recipients;
}

async function whenDelivered(folder: string): Promise<void> {
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    const isIdle = ['incoming', 'active'].every(
      (queue) =>
        readdirSync(path.join(folder, 'queue', queue), { recursive: true, withFileTypes: true })
          .length === 0,
    );
    if (isIdle) return;
    await sleep(10);
  }
  throw new Error('Postfix did not deliver what it took within 30 s');
}
