import { fileURLToPath } from 'node:url';

import {
  infrastructureFromEnv,
  type RunningInfrastructure,
  type StandardComponents,
} from 'underpin';
import { type Environment, InfrastructureError, type Managed } from 'underpin/core';
import type { Worker } from 'underpin/queue';

import { importArticles } from '../application/import-articles.ts';
import { markdownFolder } from '../infrastructure/articles/markdown-folder.ts';
import { compose, type Composition } from '../infrastructure/composition.ts';
import type { Tables } from '../infrastructure/database/tables.ts';
import type { DirectusSchema } from '../infrastructure/directus/types.ts';
import { logInfrastructure } from '../infrastructure/logging/operations.ts';
import { gazetteWorker } from '../infrastructure/queue/worker.ts';
import { startStep } from '../infrastructure/start-step.ts';
import { createApp } from './app.ts';
import { type DeskAccess, localNames } from './desk-access.ts';
import { WebServer } from './server.ts';

const ownDocs = fileURLToPath(new URL('../../../docs', import.meta.url));

/** What a process of the newspaper adds to the infrastructure: its pages, its jobs, or both. */
interface Process extends Composition {
  readonly server: WebServer | undefined;
  readonly articles: Managed | undefined;
  readonly worker: Worker | undefined;
}

type Gazette = RunningInfrastructure<StandardComponents<Tables, DirectusSchema> & Process>;

const infrastructure = infrastructureFromEnv<Tables, Process, DirectusSchema>(
  (standard, { env }) => {
    const role = env.oneOf('ROLE', ['all', 'web', 'worker'], { default: 'all' });
    const siteUrl = siteUrlFrom(env);
    if (role === 'worker') {
      if (siteUrl === undefined)
        env.problem('SITE_URL', 'a worker serves no pages: give the address of those that do', '');
      const composition = compose(standard, env, () => siteUrl ?? '');
      const worker = gazetteWorker(standard.queue, composition.newsroom);
      return { ...composition, server: undefined, articles: undefined, worker };
    }
    const host = env.string('HOST', { default: '127.0.0.1' });
    const port = env.integer('PORT', { default: 4000, min: 0, max: 65_535 });
    const composition = compose(standard, env, () => siteUrl ?? server.url);
    const app = createApp(composition.newsroom, {
      logger: standard.log,
      health: () => gazette?.health,
      desk: deskAccessFrom(env, host),
      inbox: composition.inbox,
      writtenAt: standard.directus?.url,
    });
    const server = new WebServer({ fetch: app.fetch, host, port });
    const directory = env.string('ARTICLES_DIR', { default: ownDocs });
    return {
      ...composition,
      // Before all that writes: when the port is taken, nothing has been done yet.
      server,
      // Where articles come from Directus, none are imported.
      articles: standard.directus
        ? undefined
        : startStep('articles', async () => {
            const imported = await importArticles(composition.newsroom, markdownFolder(directory));
            for (const refused of imported.refused)
              standard.log.warn(refused, 'this file cannot be an article');
            standard.log.info({ ...imported, directory }, 'articles imported');
          }),
      // Last, so that the first pages need not share the processor with their thumbnails.
      worker: role === 'web' ? undefined : gazetteWorker(standard.queue, composition.newsroom),
    };
  },
);

let gazette: Gazette | undefined;

try {
  gazette = await infrastructure.start();
  gazette.stopOnSignals();
  logInfrastructure(gazette.log);
  process.stdout.write(
    gazette.server === undefined
      ? 'The Gazette is at work.\n'
      : `The Gazette is out: ${gazette.server.url}\n`,
  );
} catch (error) {
  process.stderr.write(`gazette: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

/** What one can act on. The stack of what is no mistake of the operator's is worth its lines. */
function reasonOf(error: unknown): string {
  if (InfrastructureError.is(error) && error.code !== 'internal') return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function siteUrlFrom(env: Environment): string | undefined {
  if (env.optional('SITE_URL') === undefined) return undefined;
  const url = env.url('SITE_URL', ['https', 'http']);
  // Mail programs post to the link that ends the mails, with a secret in it.
  if (url.protocol === 'http:' && !localNames.has(url.hostname))
    env.problem('SITE_URL', 'it is not encrypted: give a URL that starts with https:', undefined);
  return url.href.replace(/\/+$/, '');
}

function deskAccessFrom(env: Environment, host: string): DeskAccess {
  const password = env.optionalSecret('EDITOR_PASSWORD');
  if (password !== undefined) return { kind: 'password', password: password.reveal() };
  return { kind: localNames.has(host) || host === '::1' ? 'local' : 'closed' };
}
