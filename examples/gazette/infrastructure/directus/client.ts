import { Environment } from 'underpin/core';
import { type DirectusClient, directusClient } from 'underpin/directus';

import type { DirectusSchema } from './types.ts';

let client: DirectusClient<DirectusSchema> | undefined;

/**
 * The newspaper's Directus, as the environment names it: `DIRECTUS_URL`, with `DIRECTUS_TOKEN`, or with `DIRECTUS_EMAIL` and
 * `DIRECTUS_PASSWORD`. There is one client for the whole process, and it is logged in when this resolves.
 *
 * Throws `invalid-argument` that names every variable which is missing or wrong.
 */
export async function getDirectusClient(): Promise<DirectusClient<DirectusSchema>> {
  client ??= createClient(new Environment(process.env));
  await client.start();
  return client;
}

function createClient(env: Environment): DirectusClient<DirectusSchema> {
  const url = env.url('DIRECTUS_URL', ['http', 'https']).href;
  const token = env.optionalSecret('DIRECTUS_TOKEN');
  if (token !== undefined) {
    env.throwProblems();
    return directusClient<DirectusSchema>({ url, token });
  }
  const email = env.string('DIRECTUS_EMAIL');
  const password = env.secret('DIRECTUS_PASSWORD');
  env.throwProblems();
  return directusClient<DirectusSchema>({ url, email, password });
}
