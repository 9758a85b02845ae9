import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import type { ReceivedMail } from 'underpin/ports';

import { definitionOf, type ServiceName } from '../../../test/services/definitions.ts';
import { type PrivateServer, startServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { deliveredOn } from '../../../test/services/smtp-mailbox.ts';
import { GazetteProcess } from './gazette-process.ts';
import type { RunningGazette } from './running-gazette.ts';

/** The engines that a Gazette on real ones uses. */
export type EngineName = (typeof engineNames)[number];

/** Every {@link EngineName}. */
export const engineNames = ['postgres', 'redis', 's3', 'smtp'] as const;

/** Why not all of the engines can be started; `undefined` when they can. */
export async function missingEngine(): Promise<string | undefined> {
  const names: readonly ServiceName[] = engineNames;
  const found = await Promise.all(names.map(async (name) => await service(name)));
  return found.find(({ missing }) => missing !== undefined)?.missing;
}

/** A Gazette of two web processes and two workers that share real engines, all chosen by the environment. */
export class GazetteOnEngines implements RunningGazette {
  readonly engines: Readonly<Record<EngineName, PrivateServer>>;
  readonly urls: readonly [string, string];
  readonly #started: AsyncDisposableStack;
  readonly #processes: readonly GazetteProcess[];

  private constructor(
    engines: GazetteOnEngines['engines'],
    processes: readonly GazetteProcess[],
    urls: readonly [string, string],
    started: AsyncDisposableStack,
  ) {
    this.engines = engines;
    this.urls = urls;
    this.#processes = processes;
    this.#started = started;
  }

  /** `articles` is the folder with what it imports; `more` is added to the environment. */
  static async start(
    articles: string,
    more: Readonly<Record<string, string>> = {},
  ): Promise<GazetteOnEngines> {
    await using started = new AsyncDisposableStack();
    const folder = await mkdtemp(path.join(os.tmpdir(), 'gazette-engines-'));
    started.defer(async () => await rm(folder, { recursive: true }));
    const [postgres, redis, s3, smtp] = await Promise.all(
      engineNames.map(async (name) => started.use(await startServer(name))),
    );
    if (!postgres || !redis || !s3 || !smtp) throw new Error('an engine did not start');
    const engines = { postgres, redis, s3, smtp };

    const environments = await Promise.all(
      engineNames.map(async (name) => await definitionOf(name).forApplication(engines[name].url)),
    );
    const env = {
      ...Object.assign({}, ...environments),
      // Publishing enqueues in its transaction, so that no job is lost and none is too many.
      QUEUE_URL: 'database:',
      DATA_DIR: path.join(folder, 'data'),
      ARTICLES_DIR: articles,
      SITE_URL: 'http://localhost:4000',
      ...more,
    } as Record<string, string>;
    const launch = (role: string): GazetteProcess => {
      const gazette = new GazetteProcess({ ...env, ROLE: role });
      started.defer(async () => void (await gazette.kill()));
      return gazette;
    };
    const [web, otherWeb] = [launch('web'), launch('web')];
    const workers = [launch('worker'), launch('worker')];
    const urls = await Promise.all([web.url(), otherWeb.url()]);
    await Promise.all(workers.map(async (worker) => await worker.atWork()));
    return new GazetteOnEngines(engines, [web, otherWeb, ...workers], urls, started.move());
  }

  async mails(): Promise<readonly ReceivedMail[]> {
    return await deliveredOn(this.engines.smtp.url);
  }

  async stop(): Promise<readonly (number | null)[]> {
    const exits = await Promise.all(this.#processes.map(async (gazette) => await gazette.stop()));
    return exits.map(({ code }) => code);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#started.disposeAsync();
  }
}
