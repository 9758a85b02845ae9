import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import {
  type Classify,
  type Clock,
  ifPresent,
  InfrastructureError,
  PrivateDirectory,
  systemClock,
  temporaryPath,
  wrapError,
  writeDirectoryAtomically,
} from '../core/index.ts';
import type { MailDriver, MailEnvelope, OutgoingMail } from './driver.ts';
import { Mailer, type MailerOptions } from './mail.ts';
import type { MailReceipt } from './message.ts';
import { type Inbox, parseReceivedMail, type ReceivedMail } from './received.ts';

/** Options of {@link inboxMailer}. */
export interface InboxMailerOptions extends MailerOptions {
  /** Folder of the messages; made, for this user alone, if it is not there. Several processes may share it. */
  readonly directory: string;
  /** Whether a message is on the disk before `send` resolves, so that it outlives a power cut. A killed process loses nothing either way. Default: no. */
  readonly sync?: boolean | undefined;
}

/** What `message.json` holds. */
interface StoredFacts {
  readonly id: string;
  readonly idempotencyKey?: string | undefined;
  /** ISO 8601. */
  readonly receivedAt: string;
  /** Orders what one process delivered within one millisecond. */
  readonly sequence: number;
  readonly envelope: MailEnvelope;
}

const deliveryFolder = /^[0-9a-f]{32}$/;
const factsFile = 'message.json';
const rawFile = 'message.eml';

/** Delivers into a folder: one folder a message, with `message.eml` for a mail client and `message.json` with its envelope. */
export class InboxMailDriver implements MailDriver {
  readonly adapter = 'inbox';
  readonly capabilities = { idempotencyKeys: true, unicodeAddresses: true } as const;
  readonly native: Inbox;
  readonly #directory: PrivateDirectory;
  readonly #sync: boolean;
  readonly #clock: Clock;
  #sequence = 0;

  constructor({
    directory,
    sync = false,
    clock = systemClock,
  }: Pick<InboxMailerOptions, 'directory' | 'sync' | 'clock'>) {
    this.#directory = new PrivateDirectory(directory, 'inbox');
    this.#sync = sync;
    this.#clock = clock;
    this.native = {
      messages: () => this.#messages(),
      clear: async () => {
        await this.#clear();
      },
    };
  }

  async start(): Promise<void> {
    await this.#directory.prepare();
  }

  async send(
    { id, deliveryKey, idempotencyKey, envelope, raw }: OutgoingMail,
    signal?: AbortSignal,
  ): Promise<MailReceipt> {
    const folder = join(this.#directory.path, deliveryKey);
    const first = await readFacts(folder);
    if (first) return receiptOf(first);
    const receivedAt = new Date(this.#clock.now()).toISOString();
    const facts: StoredFacts = {
      id,
      idempotencyKey,
      receivedAt,
      sequence: (this.#sequence += 1),
      envelope,
    };
    const files = { [rawFile]: raw, [factsFile]: `${JSON.stringify(facts, undefined, 2)}\n` };
    // Creating the folder is the delivery: one of all processes that send this key does it, at one moment.
    if (await writeDirectoryAtomically(folder, files, { sync: this.#sync, signal }))
      return receiptOf(facts);
    const winner = await readFacts(folder);
    if (winner) return receiptOf(winner);
    throw damaged(folder);
  }

  async checkHealth(): Promise<void> {
    await this.#directory.check();
  }

  readonly classify: Classify = (error) => this.#directory.classify(error);

  async close(): Promise<void> {
    // Holds nothing open.
  }

  async *#messages(): AsyncGenerator<ReceivedMail> {
    try {
      const order: { readonly name: string; readonly at: string; readonly sequence: number }[] = [];
      for (const name of await this.#deliveries()) {
        const facts = await readFacts(join(this.#directory.path, name));
        if (facts) order.push({ name, at: facts.receivedAt, sequence: facts.sequence });
      }
      order.sort((a, b) => a.at.localeCompare(b.at) || a.sequence - b.sequence);
      for (const { name } of order) {
        const message = await readMessage(join(this.#directory.path, name));
        // One that was cleared meanwhile.
        if (message) yield message;
      }
    } catch (error) {
      throw wrapError(
        error,
        { component: 'mail', adapter: this.adapter, operation: 'messages' },
        this.classify,
      );
    }
  }

  async #clear(): Promise<void> {
    try {
      for (const name of await this.#deliveries()) {
        // Out of sight first: a message is there with all its files or not at all.
        const removed = temporaryPath(this.#directory.path);
        await rename(join(this.#directory.path, name), removed);
        await rm(removed, { recursive: true, force: true });
      }
    } catch (error) {
      throw wrapError(
        error,
        { component: 'mail', adapter: this.adapter, operation: 'clear' },
        this.classify,
      );
    }
  }

  async #deliveries(): Promise<string[]> {
    const names = await ifPresent(readdir(this.#directory.path), []);
    return names.filter((name) => deliveryFolder.test(name));
  }
}

/**
 * A mailer that delivers into a folder, the embedded default: each message is a folder that a person can open.
 * `mailer.native.messages()` reads them back.
 *
 * @example
 * const mailer = inboxMailer({ directory: 'data/mail', from: 'Gazette <news@gazette.example>' });
 */
export function inboxMailer(options: InboxMailerOptions): Mailer<InboxMailDriver> {
  return new Mailer(new InboxMailDriver(options), options);
}

function receiptOf({ id, envelope }: StoredFacts): MailReceipt {
  return { id, accepted: envelope.to, rejected: [] };
}

async function readMessage(folder: string): Promise<ReceivedMail | undefined> {
  const facts = await readFacts(folder);
  const raw = facts && (await ifPresent(readFile(join(folder, rawFile)), undefined));
  if (!facts || !raw) return undefined;
  const { id, idempotencyKey, receivedAt, envelope } = facts;
  return await parseReceivedMail(raw, {
    id,
    idempotencyKey,
    receivedAt: new Date(receivedAt),
    envelope,
  });
}

async function readFacts(folder: string): Promise<StoredFacts | undefined> {
  const text = await ifPresent(readFile(join(folder, factsFile), 'utf8'), undefined);
  if (text === undefined) return undefined;
  try {
    const facts = JSON.parse(text) as Partial<StoredFacts> | null;
    if (facts?.id && facts.receivedAt && Array.isArray(facts.envelope?.to))
      return facts as StoredFacts;
  } catch {
    // Told below.
  }
  throw damaged(folder);
}

function damaged(folder: string): InfrastructureError {
  return new InfrastructureError({
    code: 'data-loss',
    component: 'mail',
    adapter: 'inbox',
    outcome: 'not-applied',
    message: `the message in ${folder} is damaged: repair its ${factsFile}, or remove the folder`,
  });
}
