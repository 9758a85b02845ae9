import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { csrf } from 'hono/csrf';
import { HTTPException } from 'hono/http-exception';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { type Health, InfrastructureError, runWithContext } from 'underpin/core';
import type { Inbox, Logger } from 'underpin/ports';

import type { Newsroom } from '../application/newsroom.ts';
import type { DeskAccess } from './desk-access.ts';
import { deskRoutes } from './desk-routes.ts';
import { messagePage } from './layout.ts';
import { oneClickRoutes, readerRoutes } from './reader-routes.ts';
import type { WebEnvironment } from './web-environment.ts';

/** The largest request, which is an article with a picture. */
const maximumBody = 25 * 1024 * 1024;

/**
 * How long a page may take, in milliseconds. Whatever it still waits for then is given up, and the reader is told. A form that is
 * sent has no such end, for an upload may be slow; what each engine may take bounds it. Neither has a picture, which is read as fast as the reader takes it.
 */
const pageDeadline = 5000;

/** What the web pages need beside the newsroom. */
export interface WebOptions {
  readonly logger: Logger;
  /** `undefined` until everything has started. */
  readonly health: () => Health | undefined;
  /** Who may enter the editors' desk. */
  readonly desk: DeskAccess;
  /** Where mails end, when they end on this machine. */
  readonly inbox: Inbox | undefined;
  /** Where articles are written, when that is not at the desk. */
  readonly writtenAt?: URL | undefined;
}

/** All pages, as one fetch handler. */
export function createApp(
  newsroom: Newsroom,
  { logger, health, desk, inbox, writtenAt }: WebOptions,
): Hono<WebEnvironment> {
  const app = new Hono<WebEnvironment>();

  app.use(requestId());
  app.use(async (c, next) => {
    const isPage = c.req.method === 'GET' && !c.req.path.startsWith('/pictures/');
    const signal = isPage ? { signal: AbortSignal.timeout(pageDeadline) } : {};
    await runWithContext({ requestId: c.get('requestId'), ...signal }, next);
  });
  app.use(async (c, next) => {
    await next();
    const policy = c.get('contentSecurityPolicy');
    if (policy !== undefined) c.header('content-security-policy', policy);
  });
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        frameSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
      referrerPolicy: 'same-origin',
      // Whether there is TLS is up to the proxy in front.
      strictTransportSecurity: false,
    }),
  );
  app.use(
    bodyLimit({
      maxSize: maximumBody,
      onError: () => failure(413, 'the request is too large: choose a picture of less than 25 MB'),
    }),
  );

  app.get(
    '/health/:probe',
    async (c) => (await health()?.handler(c.req.raw)) ?? c.text('starting', 503),
  );
  app.route('/', oneClickRoutes(newsroom));
  app.use(csrf());
  app.route('/', readerRoutes(newsroom));
  app.route('/desk', deskRoutes(newsroom, { access: desk, inbox, writtenAt }));

  app.notFound(async (c) =>
    c.html(
      messagePage(
        await newsroom.articles.sections(),
        'Not in this issue',
        'There is no such page, or not any more.',
      ),
      404,
    ),
  );

  app.onError(async (thrown, c) => {
    const { status, title, text, response } = describeFailure(thrown);
    if (status >= 500) logger.error({ err: thrown, path: c.req.path }, 'a request failed');
    if (response !== undefined) return response;
    // The page's head needs the database, which may be what fails.
    const sections = await newsroom.articles.sections().catch(() => []);
    return await c.html(messagePage(sections, title, text), status);
  });

  return app;
}

interface Failure {
  readonly status: 400 | 403 | 404 | 409 | 413 | 500 | 503 | 507;
  readonly title: string;
  readonly text: string;
  readonly response?: Response;
}

function describeFailure(error: Error): Failure {
  if (error instanceof HTTPException) {
    if (error.status === 403) {
      return {
        status: 403,
        title: 'Not from here',
        text: 'This form was sent from another site. Open the page here, and send it again.',
      };
    }
    if (error.status === 413) return { status: 413, title: 'Too large', text: error.message };
    return {
      status: 400,
      title: 'Not understood',
      text: error.message,
      response: error.getResponse(),
    };
  }
  if (!InfrastructureError.is(error)) return internal;
  if (error.code === 'not-found')
    return {
      status: 404,
      title: 'Not in this issue',
      text: 'There is no such page, or not any more.',
    };
  if (error.code === 'invalid-argument')
    return {
      status: 400,
      title: 'Not understood',
      text: 'The address or the form has something in it that cannot be.',
    };
  if (error.code === 'aborted')
    return {
      status: 409,
      title: 'Changed meanwhile',
      text: 'Somebody else changed this at the same time. Go back, look, and try again.',
    };
  if (error.code === 'resource-exhausted')
    return {
      status: 507,
      title: 'No room',
      text: 'The disk is full: nothing was saved. Free some space and try again.',
    };
  if (error.retryable)
    return {
      status: 503,
      title: 'One moment',
      text: 'This cannot be done right now. Try again soon.',
    };
  return internal;
}

const internal: Failure = {
  status: 500,
  title: 'Stop press',
  text: 'Something broke on our side. It has been written down.',
};

function failure(status: 413, message: string): never {
  throw new HTTPException(status, { message });
}
