import { appendFileSync } from 'node:fs';

import { scrubCredentials } from '../../src/core/index.ts';
import { definitionOf, type ServiceName } from './definitions.ts';
import { isRoot } from './processes.ts';

/** One answer of {@link service}, as `npm test` collects it for its closing table. */
export interface ServiceUse {
  readonly name: ServiceName;
  readonly address?: string;
  /** Why the service cannot be used. */
  readonly missing?: string;
}

/** The file that collects every {@link ServiceUse} of a test run, one JSON document a line. */
export const SERVICE_USES_VARIABLE = 'UNDERPIN_TEST_SERVICE_USES';

/** A service as a test sees it. */
export class Service {
  /** Why the service cannot be used; undefined when it can. */
  readonly missing: string | undefined;
  readonly #address: string | undefined;

  constructor(use: ServiceUse) {
    this.#address = use.address;
    this.missing = use.missing;
  }

  /** Where the service is. Throws when it is missing. */
  get address(): string {
    if (this.#address === undefined) throw new Error(this.missing);
    return this.#address;
  }
}

const found = new Map<ServiceName, Promise<Service>>();

/**
 * Finds a service that a test needs: by its environment variable, else by looking for what is installed. Nothing is started:
 * `sharedServer` and `startServer` do that. Call it at the top of the test file, and let the tests that need it skip when it is
 * missing:
 *
 * @example
 * const chromium = await service('chromium');
 *
 * describe.skipIf(chromium.missing)('gazette › in a browser', () => {
 *   test('…', async () => launch({ executablePath: chromium.address }));
 * });
 *
 * A missing service skips visibly: `npm test` closes with a table of the services, with the reason. With
 * `REQUIRE_SERVICES=1`, as in CI, it throws instead (unless only a person can install it), and so does an environment variable
 * that leads nowhere.
 */
export function service(name: ServiceName): Promise<Service> {
  let answer = found.get(name);
  if (answer === undefined) {
    answer = find(name);
    found.set(name, answer);
  }
  return answer;
}

async function find(name: ServiceName): Promise<Service> {
  const { variable, answers, locate, installedByHand } = definitionOf(name);
  const value = process.env[variable] || undefined;
  let address: string | undefined;
  if (value === undefined) address = await locate();
  else if (await answers(value)) address = value;
  if (address === undefined) {
    const missing =
      value === undefined
        ? `${name} was not found: ${whatInstalls(name)} or set ${variable}`
        : `${variable} is ${scrubCredentials(value)}, where no ${name} answers`;
    record({ name, missing });
    const isRequired = process.env['REQUIRE_SERVICES'] === '1' && installedByHand === undefined;
    if (value !== undefined || isRequired) throw new Error(missing);
    return new Service({ name, missing });
  }
  record({ name, address: scrubCredentials(address) });
  return new Service({ name, address });
}

/** What a person is told to do to have a service. */
export function whatInstalls(name: ServiceName): string {
  const { needsRoot = false, installedByHand } = definitionOf(name);
  if (needsRoot && !isRoot()) return 'be root, who alone can start it,';
  if (installedByHand !== undefined) return `run \`${installedByHand}\``;
  return `run "npm run services -- install ${name}"`;
}

/** Appends, since the test files run in several processes. */
function record(use: ServiceUse): void {
  const file = process.env[SERVICE_USES_VARIABLE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(use)}\n`);
}
