import type { Bench, BenchResult, CaseResult } from './harness.ts';

const format = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

/** A component's figures as Markdown: `bench/results/<component>.md`. */
export function toMarkdown(result: BenchResult, { notes = [] }: Pick<Bench, 'notes'>): string {
  const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `# Bench: ${result.component}`,
    '',
    `Written by \`npm run bench -- ${result.component}\` on Node ${result.node}, ${result.machine}. The figures are of one run on one machine; the ratios hold better. \`ratio\` is the median over the rounds of \`underpin\` to the variant: above 1, \`underpin\` is faster.`,
    '',
    ...(versions.length > 0 ? [`Peers: ${versions.join(', ')}.`, ''] : []),
    ...notes.flatMap((note) => [note, '']),
    ...result.cases.flatMap((each) => [toTable(each), '']),
  ].join('\n');
}

/** A case's figures as a table. */
export function toTable({ id, unit, variants, goals }: CaseResult): string {
  const rows = variants.map((variant) => [
    variant.id,
    format.format(variant.median),
    `${format.format(variant.min)} to ${format.format(variant.max)}`,
    format.format(variant.ratio),
    String(variant.rssMiB),
  ]);
  const lines = [
    ['variant', unit, 'range', 'ratio', 'RSS MiB'],
    ['---', '---:', '---:', '---:', '---:'],
    ...rows,
  ];
  return [
    `## ${id}`,
    '',
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    ...goals.map((goal) => {
      const wanted =
        'ratioAtLeast' in goal
          ? `at least ${goal.ratioAtLeast} of`
          : `at most ${goal.moreAtMost} ${unit} more than`;
      return `Goal: ${wanted} \`${goal.against}\`: ${format.format(goal.reached)}, ${goal.isMet ? 'met' : '**missed**'}.`;
    }),
  ].join('\n');
}
