/** A constraint of a table. */
export interface DeclaredConstraint {
  readonly kind: 'unique' | 'foreign-key';
  readonly name: string;
  readonly columns: readonly string[];
}

const token =
  /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$\u0080-\u{10ffff}]+|[^\s]/gu;

/**
 * The constraints that a `create table` gives a name: the text is the one place where SQLite keeps it. A primary key counts as
 * unique. What it cannot read it leaves out.
 */
export function declaredConstraints(createTable: string): DeclaredConstraint[] {
  return definitions(createTable).flatMap(constraintsOf);
}

/** The text of an identifier, without its quotes. */
export function unquoted(identifier: string): string {
  const quote = identifier[0] ?? '';
  if (quote === '[') return identifier.slice(1, -1);
  return ['"', '`', "'"].includes(quote)
    ? identifier.slice(1, -1).replaceAll(quote + quote, quote)
    : identifier;
}

/** The columns and constraints between the outermost parentheses, as tokens. */
function definitions(createTable: string): string[][] {
  const found: string[][] = [];
  let depth = 0;
  for (const [text] of createTable.matchAll(token)) {
    if (/^(?:--|\/\*)/.test(text)) continue;
    if (text === ')') depth -= 1;
    if (depth === 1 && text === ',') found.push([]);
    else if (depth > 0) found.at(-1)?.push(text);
    if (text === '(') depth += 1;
    if (depth === 1 && text === '(' && found.length === 0) found.push([]);
  }
  return found;
}

function constraintsOf(tokens: readonly string[]): DeclaredConstraint[] {
  const found: DeclaredConstraint[] = [];
  const own = [unquoted(tokens[0] ?? '')];
  let name: string | undefined;
  for (let index = 0; index < tokens.length; index += 1) {
    const word = tokens[index]?.toLowerCase();
    if (word === '(') {
      index = endOfGroup(tokens, index);
    } else if (word === 'constraint') {
      index += 1;
      name = unquoted(tokens[index] ?? '');
    } else if (name !== undefined && word !== 'key') {
      const kind = kinds.get(word ?? '');
      const start = tokens.indexOf('(', index);
      // Of a table, the columns follow; of a column, it is that one.
      const isOfTable = start === index + 1 || (start === index + 2 && word !== 'references');
      if (kind !== undefined)
        found.push({ kind, name, columns: isOfTable ? namesIn(tokens, start) : own });
      name = undefined;
    }
  }
  return found;
}

const kinds: ReadonlyMap<string, DeclaredConstraint['kind']> = new Map([
  ['unique', 'unique'],
  ['primary', 'unique'],
  ['foreign', 'foreign-key'],
  ['references', 'foreign-key'],
]);

function endOfGroup(tokens: readonly string[], start: number): number {
  let depth = 0;
  for (let index = start; index < tokens.length; index += 1) {
    if (tokens[index] === '(') depth += 1;
    if (tokens[index] === ')') depth -= 1;
    if (depth === 0) return index;
  }
  return tokens.length;
}

/** The first word of each element of the list that starts there. */
function namesIn(tokens: readonly string[], start: number): string[] {
  const list = tokens.slice(start, endOfGroup(tokens, start));
  return list.filter((_, index) => index > 0 && /^[(,]$/.test(list[index - 1] ?? '')).map(unquoted);
}
