import type { RegisteredPort } from './registry.ts';

/** How an adapter did, in numbers of cases. */
export interface AdapterCounts {
  readonly passed: number;
  readonly failed: number;
  /** Cases whose capability the adapter lacks, and where it refused as it must. */
  readonly unsupported: number;
  readonly skipped: number;
  /** Why cases were skipped. */
  readonly reason?: string;
}

/** What `npm run conformance -- --json` prints. */
export interface ConformanceReport {
  readonly ports: Readonly<Record<string, Readonly<Record<string, AdapterCounts>>>>;
}

/** A case that failed. */
export interface ConformanceFailure {
  readonly port: string;
  readonly adapter: string;
  readonly id: string;
  readonly error: unknown;
}

/** Runs the suites of the ports over all their adapters. */
export async function runPorts(
  ports: readonly RegisteredPort[],
): Promise<{ report: ConformanceReport; failures: ConformanceFailure[] }> {
  const report: Record<string, Record<string, AdapterCounts>> = {};
  const failures: ConformanceFailure[] = [];
  for (const { port, adapters } of ports) {
    const byAdapter: Record<string, AdapterCounts> = (report[port] ??= {});
    for (const { adapter, skip, cases, run } of adapters) {
      if (skip !== undefined) {
        const skipped = cases.passed + cases.unsupported;
        byAdapter[adapter] = { passed: 0, failed: 0, unsupported: 0, skipped, reason: skip };
        continue;
      }
      const counts = { passed: 0, failed: 0, unsupported: 0, skipped: 0 };
      for (const { id, status, error } of await run()) {
        counts[status] += 1;
        if (status === 'failed') failures.push({ port, adapter, id, error });
      }
      byAdapter[adapter] = counts;
    }
  }
  return { report: { ports: report }, failures };
}

/** The report as a table for a terminal. */
export function formatReport({ ports }: ConformanceReport): string {
  const rows = [['port', 'adapter', 'passed', 'failed', 'unsupported', 'skipped', '']];
  for (const [port, adapters] of Object.entries(ports)) {
    for (const [adapter, { passed, failed, unsupported, skipped, reason = '' }] of Object.entries(
      adapters,
    )) {
      rows.push([port, adapter, ...[passed, failed, unsupported, skipped].map(String), reason]);
    }
  }
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The ports' capabilities and numbers of cases as Markdown, from what the adapters declare. */
export function formatMatrix(ports: readonly RegisteredPort[]): string {
  return ports
    .map(({ port, adapters }) => {
      const capabilities = [
        ...new Set(adapters.flatMap((one) => Object.keys(one.capabilities))),
      ].toSorted();
      const rows = [
        ['', ...adapters.map(({ adapter }) => adapter)],
        ['---', ...adapters.map(() => '---')],
        ['cases held', ...adapters.map(({ cases }) => String(cases.passed))],
        ['cases refused', ...adapters.map(({ cases }) => String(cases.unsupported))],
        ...capabilities.map((capability) => [
          `\`${capability}\``,
          ...adapters.map((one) => (one.capabilities[capability] === true ? 'yes' : 'no')),
        ]),
      ];
      return `### ${port}\n\n${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`;
    })
    .join('\n');
}

const START = '<!-- matrix: written by `npm run docs:matrix` -->';
const END = '<!-- end of matrix -->';

/** Puts the matrix into the document that shows it. Throws when the document has no place for it. */
export function insertMatrix(document: string, ports: readonly RegisteredPort[]): string {
  const start = document.indexOf(START);
  const end = document.indexOf(END);
  if (start === -1 || end < start) throw new Error(`The document lacks "${START}" or "${END}".`);
  return `${document.slice(0, start)}${START}\n\n${formatMatrix(ports)}\n${document.slice(end)}`;
}
