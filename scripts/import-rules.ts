// Who may import whom, checked by `npm run check`. The rules in words: docs/architecture.md. Each has a deliberate
// violation in test/rules/.

import path from 'node:path';

import { Visitor } from '@swc/core/Visitor.js';
import { cruise, type ICruiseResult, type IRegularForbiddenRuleType } from 'dependency-cruiser';

/** Tests may import anything. */
const TEST = String.raw`\.test(-d)?\.ts$`;

/** The rooms whose purpose is to bring other rooms together. */
const GATHERING_ROOMS = '^src/(console|cli|testing)/';

/** What adapters of several rooms share, by the folders that may import it. */
const SHARED: Readonly<Record<string, string>> = { redis: '^src/(cache|queue)/redis/' };
const SHARED_FACES = `^src/(${Object.keys(SHARED).join('|')})/index\\.ts$`;

/** The npm packages that `src` may import, each with the files that may: its adapters and the room that it carries. */
export const VENDORS: Readonly<Record<string, string>> = {
  '@aws-sdk/client-s3': '^src/storage/s3/',
  '@aws-sdk/s3-presigned-post': '^src/storage/s3/',
  '@aws-sdk/s3-request-presigner': '^src/storage/s3/',
  '@azure/storage-blob': '^src/storage/azure/',
  '@directus/sdk': '^src/(directus|repositories/directus)/',
  '@electric-sql/pglite': '^src/database/pglite/',
  '@mikro-orm/core': '^src/database/mikro-orm/',
  '@mikro-orm/sql': '^src/database/mikro-orm/',
  '@standard-schema/spec': '^src/core/',
  cockatiel: '^src/core/',
  'drizzle-orm': '^src/database/drizzle/',
  'file-type': '^src/storage/',
  kysely: '^src/(database|repositories|queue)/',
  'lru-cache': '^src/(cache|storage|database)/',
  mime: '^src/storage/',
  mysql2: '^src/database/mysql/',
  nodemailer: '^src/mail/',
  pg: '^src/database/postgres/',
  pino: '^src/logging/',
  'pino-pretty': '^src/logging/',
  'postal-mime': '^src/mail/',
  redis: '^src/(redis|cache/redis|queue/redis)/',
  sharp: '^src/storage/images/',
  tinyqueue: '^src/queue/',
  uuid: '^src/queue/',
  'web-push': '^src/push/',
};

/** Vendors that an application installs only when it uses their adapter. */
const OPTIONAL_PEERS = [
  '@aws-sdk/client-s3',
  '@aws-sdk/s3-presigned-post',
  '@aws-sdk/s3-request-presigner',
  '@azure/storage-blob',
  '@directus/sdk',
  '@electric-sql/pglite',
  '@mikro-orm/core',
  '@mikro-orm/sql',
  'drizzle-orm',
  'mysql2',
  'pg',
  'pino-pretty',
  'redis',
  'sharp',
  'web-push',
];

const IN_SOURCE = { path: '^src/', pathNot: TEST };

/** Matches a package whether it is installed (by its folder) or not (by its bare name). */
function packagePattern(name: string): string {
  return `(^|node_modules/)${name}(/|$)`;
}

const rules: readonly (Omit<IRegularForbiddenRuleType, 'severity' | 'name'> & { name: string })[] =
  [
    {
      name: 'core-imports-no-room',
      comment: 'What every room uses cannot use a room. Move the shared part into core.',
      from: { path: '^src/core/', pathNot: TEST },
      to: { path: '^src/', pathNot: '^src/core/' },
    },
    {
      name: 'room-imports-only-types-of-rooms',
      comment: 'A room gets instances of other rooms through its options: use `import type`.',
      from: { path: '^src/([^/]+)/', pathNot: [TEST, '^src/core/', GATHERING_ROOMS] },
      to: {
        path: '^src/',
        pathNot: ['^src/$1/', '^src/core/', SHARED_FACES],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'room-imports-only-public-faces',
      comment:
        "Of another room only its public face may be named: import from the room's index.ts.",
      from: { path: '^src/([^/]+)/', pathNot: [TEST, '^src/core/', GATHERING_ROOMS] },
      to: {
        path: '^src/[^/]+/',
        pathNot: ['^src/$1/', '^src/core/', String.raw`^src/[^/]+/index\.ts$`],
        dependencyTypes: ['type-only'],
      },
    },
    ...Object.entries(SHARED).map(([name, users]) => ({
      name: `shared-by-adapters-${name}`,
      comment: `${name} is a part of some adapters, which may import it by its index.ts: those in ${users}`,
      from: { path: '^src/', pathNot: [TEST, users, `^src/${name}/`] },
      to: { path: `^src/${name}/` },
    })),
    {
      name: 'source-imports-only-source',
      comment: 'The package ships src alone.',
      from: IN_SOURCE,
      to: { path: '^(test|scripts|examples|bench)/' },
    },
    ...Object.entries(VENDORS).map(([name, home]) => ({
      name: `vendor-stays-home-${name}`,
      comment: `${name} may be imported only in ${home}`,
      from: { path: '^src/', pathNot: [TEST, home] },
      to: { path: packagePattern(name) },
    })),
    {
      name: 'vendor-is-listed',
      comment:
        'A new vendor package needs a decision: list it in scripts/import-rules.ts with its home.',
      from: IN_SOURCE,
      to: {
        pathNot: [
          '^(src|test|scripts|examples|bench)/',
          ...Object.keys(VENDORS).map(packagePattern),
        ],
        dependencyTypesNot: ['core', 'local'],
      },
    },
    {
      name: 'optional-peer-is-loaded-by-importPeer',
      comment: 'A static import of an optional peer fails without the hint how to install it.',
      from: IN_SOURCE,
      to: {
        path: OPTIONAL_PEERS.map(packagePattern),
        dependencyTypesNot: ['type-only', 'dynamic-import'],
      },
    },
    {
      name: 'no-cycle',
      comment:
        'Modules that need each other at run time depend on the order in which they are loaded.',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'gazette-domain-is-pure',
      comment:
        'The domain knows no other layer, and of infrastructure packages at most their types.',
      from: { path: '^examples/gazette/domain/', pathNot: TEST },
      to: { path: '^examples/gazette/(application|infrastructure|web)/' },
    },
    {
      name: 'gazette-domain-names-only-types-of-underpin',
      comment: 'The domain states what it needs; infrastructure brings it.',
      from: { path: '^examples/gazette/domain/', pathNot: TEST },
      to: { path: ['^src/', packagePattern('underpin')], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'gazette-application-knows-no-infrastructure',
      comment: 'Use cases get implementations of the domain’s interfaces as arguments.',
      from: { path: '^examples/gazette/application/', pathNot: TEST },
      to: { path: '^examples/gazette/(infrastructure|web)/' },
    },
    {
      name: 'gazette-infrastructure-knows-no-web',
      comment: 'Infrastructure serves the pages, not the other way round.',
      from: { path: '^examples/gazette/infrastructure/', pathNot: TEST },
      to: { path: '^examples/gazette/web/' },
    },
  ];

/** The names of all rules. */
export const importRuleNames: readonly string[] = rules.map(({ name }) => name);

type Declarators = Parameters<Visitor['visitVariableDeclarators']>[0];

// dependency-cruiser walks a module with swc's visitor, which throws at `using x = …` and `await using x = …`.
// oxlint-disable-next-line typescript/unbound-method -- called on each visitor below
const visitStatement = Visitor.prototype.visitStatement;
Visitor.prototype.visitStatement = function (statement) {
  const { type, decls } = statement as { type: string; decls?: Declarators };
  if (type !== 'UsingDeclaration') return visitStatement.call(this, statement);
  this.visitVariableDeclarators(decls ?? []);
  return statement;
};

/** An import that breaks a rule. */
export interface ImportViolation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

/**
 * Checks the imports of the modules in `folders` under `root`. Throws when a folder yields no module, since a parser
 * that is missing would otherwise pass everything.
 */
export async function findImportViolations(
  root: string,
  folders: readonly string[],
): Promise<ImportViolation[]> {
  const { output } = await cruise(
    [...folders],
    {
      baseDir: root,
      validate: true,
      ruleSet: { forbidden: rules.map((rule) => ({ ...rule, severity: 'error' })) },
      // The default parser is the TypeScript compiler's old API, which TypeScript 7 no longer has.
      parser: 'swc',
      tsPreCompilationDeps: true,
      doNotFollow: { path: ['node_modules', '^dist/'] },
      exclude: { path: ['^bench/peers/', '^dist/', '^data/'] },
    },
    {
      conditionNames: ['underpin-source', 'import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.mjs', '.js', '.d.ts'],
    },
  );
  const { modules, summary } = output as ICruiseResult;
  for (const folder of folders) {
    if (!modules.some(({ source }) => source.startsWith(`${folder}/`))) {
      throw new Error(
        `No module was found in ${path.join(root, folder)}, so no import was checked.`,
      );
    }
  }
  return summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
}
