import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { inboxMailer } from 'underpin/mail/inbox';
import type { ReceivedMail } from 'underpin/ports';

import { GazetteProcess } from './gazette-process.ts';
import type { RunningGazette } from './running-gazette.ts';

/** A Gazette in one process, on the adapters that need nothing beside it. */
export class EmbeddedGazette implements RunningGazette {
  readonly urls: readonly [string, string];
  readonly #gazette: GazetteProcess;
  readonly #folder: string;

  private constructor(gazette: GazetteProcess, url: string, folder: string) {
    this.#gazette = gazette;
    this.#folder = folder;
    this.urls = [url, url];
  }

  /** `articles` is the folder with what it imports. */
  static async start(articles: string): Promise<EmbeddedGazette> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-embedded-'));
    const gazette = new GazetteProcess({ DATA_DIR: folder, ARTICLES_DIR: articles });
    return new EmbeddedGazette(gazette, await gazette.url(), folder);
  }

  async mails(): Promise<readonly ReceivedMail[]> {
    await using mailer = inboxMailer({ directory: path.join(this.#folder, 'mail') });
    return await Array.fromAsync(mailer.native.messages());
  }

  async stop(): Promise<readonly (number | null)[]> {
    return [(await this.#gazette.stop()).code];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gazette.kill();
    await rm(this.#folder, { recursive: true });
  }
}
