// Runs the push service for browsers: `node web-push-process.ts PORT`. The model of `web-push-testing` checks who sends and decrypts;
// this serves it on 127.0.0.1, and remembers under what headers it took each notification: `POST /deliveries` with
// `{ "clients": [...] }` gives those of these subscriptions, in order.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { buffer } from 'node:stream/consumers';

import type { AcceptedNotification } from './web-push-client.ts';

/** The parts of `web-push-testing` that are used here; it has no types. */
interface Model {
  notifyUrl: string;
  readonly messages: Readonly<Record<string, readonly string[]>>;
  subscribe(options: unknown): Promise<unknown>;
  expireSubscription(client: string): void;
  handleNotification(
    client: string,
    headers: Readonly<Record<string, string | undefined>>,
    body: Buffer,
  ): Promise<void>;
}

const require = createRequire(import.meta.url);
const { PushApiModel, SubscriptionExpiredError } =
  require('web-push-testing/src/PushApiModel.js') as {
    PushApiModel: new () => Model;
    SubscriptionExpiredError: new () => Error;
  };

const port = Number(process.argv[2]);
const model = new PushApiModel();
model.notifyUrl = `http://127.0.0.1:${port}/notify/`;
const accepted: AcceptedNotification[] = [];

const server = createServer((request, response) => {
  serve(request, response).catch((error: unknown) => {
    const status = error instanceof SubscriptionExpiredError ? 410 : 400;
    answer(response, status, { error: error instanceof Error ? error.message : String(error) });
  });
});
server.listen(port, '127.0.0.1');

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, action, client = ''] = request.url?.split('/') ?? [];
  const body = await buffer(request);
  if (action === 'subscribe') answer(response, 200, await model.subscribe(read(body)));
  else if (action === 'expire') answer(response, 200, model.expireSubscription(client) ?? {});
  else if (action === 'notify') {
    await notify(client, request, body);
    answer(response, 201);
  } else if (action === 'deliveries') {
    const { clients } = read(body) as { clients: readonly string[] };
    answer(
      response,
      200,
      accepted.filter((each) => clients.includes(each.client)),
    );
  } else answer(response, 404);
}

async function notify(client: string, { headers }: IncomingMessage, body: Buffer): Promise<void> {
  const header = (name: string): string | undefined => headers[name]?.toString();
  const [encoding, authorization, ttl] = ['content-encoding', 'authorization', 'ttl'].map(header);
  await model.handleNotification(client, { encoding, authorization, ttl }, body);
  const message = model.messages[client]?.at(-1) ?? '';
  accepted.push({ client, message, ttl, urgency: header('urgency'), topic: header('topic') });
}

function read(body: Buffer): unknown {
  return JSON.parse(body.toString());
}

function answer(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(body === undefined ? '' : JSON.stringify(body));
}
