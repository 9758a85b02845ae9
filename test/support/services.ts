import { execFile } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import { scrubCredentials } from '../../src/core/index.ts';

/** The name of a service that tests may need. */
export type ServiceName = 'chromium' | 's3';

interface ServiceDefinition {
  /** The environment variable that names the service's address. */
  readonly variable: string;
  /** The command that installs it. */
  readonly install: string;
  /** Finds the service's address: by the variable's value when it is set, else by itself. */
  readonly locate: (value: string | undefined) => Promise<string | undefined>;
}

/** To add a service, add its name, how it is found, and its package in `.ci/run`. */
const definitions: Readonly<Record<ServiceName, ServiceDefinition>> = {
  // Its address is the absolute path of the browser's binary.
  chromium: {
    variable: 'CHROMIUM_PATH',
    install: 'apt-get install chromium',
    locate: (value) =>
      firstThatRuns(
        value === undefined
          ? [
              ...onPath(['chromium', 'google-chrome', 'chromium-browser']),
              '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
            ]
          : [path.resolve(value)],
      ),
  },
  // Its address is a server's URL with the keys (`http://KEY:SECRET@HOST:PORT`), or the absolute path of the binary of Ceph's
  // gateway, of which `makeBucket` starts a private one.
  s3: {
    variable: 'S3_URL',
    install: 'apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common',
    locate: async (value) => {
      if (value !== undefined) return (await answers(value)) ? value : undefined;
      const binaries = await Promise.all(
        ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph', 'radosgw-admin'].map(
          async (name) => await firstThatRuns(onPath([name])),
        ),
      );
      return binaries.includes(undefined) ? undefined : binaries[0];
    },
  },
};

/** Every service that tests may need. */
export const serviceNames: readonly ServiceName[] = Object.keys(definitions) as ServiceName[];

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
 * Finds a service that a test needs: by its environment variable, else by looking for an installed binary. Call it at
 * the top of the test file, and let the tests that need it skip when it is missing:
 *
 * @example
 * const chromium = await service('chromium');
 *
 * describe.skipIf(chromium.missing)('gazette › in a browser', () => {
 *   test('…', async () => launch({ executablePath: chromium.address }));
 * });
 *
 * A missing service skips visibly: `npm test` closes with a table of the services, with the reason. With
 * `REQUIRE_SERVICES=1`, as in CI, it throws instead, and so does an environment variable that leads nowhere.
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
  const { variable, install, locate }: ServiceDefinition = definitions[name];
  const value = process.env[variable] || undefined;
  const address = await locate(value);
  if (address === undefined) {
    const missing =
      value === undefined
        ? `${name} was not found: run "${install}" or set ${variable}`
        : `${variable} is ${scrubCredentials(value)}, where no ${name} answers`;
    record({ name, missing });
    if (value !== undefined || process.env['REQUIRE_SERVICES'] === '1') throw new Error(missing);
    return new Service({ name, missing });
  }
  record({ name, address: scrubCredentials(address) });
  return new Service({ name, address });
}

/** Appends, since the test files run in several processes. */
function record(use: ServiceUse): void {
  const file = process.env[SERVICE_USES_VARIABLE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(use)}\n`);
}

function onPath(commands: readonly string[]): string[] {
  const folders = (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder));
  return commands.flatMap((command) => folders.map((folder) => path.join(folder, command)));
}

async function answers(url: string): Promise<boolean> {
  try {
    const { origin } = new URL(url);
    await fetch(origin, { signal: AbortSignal.timeout(20_000) });
    return true;
  } catch {
    return false;
  }
}

async function firstThatRuns(binaries: readonly string[]): Promise<string | undefined> {
  for (const binary of binaries.filter((candidate) => existsSync(candidate))) {
    try {
      // A distribution's placeholder script exists but does not answer.
      await promisify(execFile)(binary, ['--version'], { timeout: 20_000 });
      return binary;
    } catch {
      continue;
    }
  }
  return undefined;
}
