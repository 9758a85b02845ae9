const token =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\/|[()]|\bcheck\b/gi;

/** The expressions of the checks in a `create table`, which SQLite tells by that text alone. */
export function checksIn(text: string): string[] {
  const checks: string[] = [];
  let depth = 0;
  /** Where the check under way begins, and at which depth it ends. */
  let start: { readonly at: number; readonly depth: number } | undefined;
  let isDue = false;
  for (const { 0: found, index } of text.matchAll(token)) {
    if (found === '(') {
      if (isDue) start = { at: index + 1, depth };
      isDue = false;
      depth += 1;
    } else if (found === ')') {
      depth -= 1;
      if (start?.depth === depth) {
        checks.push(text.slice(start.at, index).replaceAll(/\s+/g, ' ').trim());
        start = undefined;
      }
    } else if (found.toLowerCase() === 'check') isDue = start === undefined;
  }
  return checks;
}
