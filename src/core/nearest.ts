/**
 * Of the known names the one that a wrong one was most likely meant to be: it has this one in it, or differs by few
 * characters. Undefined when none is near.
 */
export function nearestName(wrong: string, known: Iterable<string>): string | undefined {
  const text = wrong.toLowerCase();
  let nearest: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const other = name.toLowerCase();
    const isPart = text.length > 2 && other.includes(text);
    const distance = isPart ? 1 : editDistance(text, other);
    const isNear = isPart || distance <= Math.max(1, Math.floor(other.length / 3));
    if (isNear && distance < (nearest?.distance ?? Infinity)) nearest = { name, distance };
  }
  return nearest?.name;
}

/** How many characters have to be added, removed or replaced to make one text of the other. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let index = 0; index < from.length; index += 1) {
    const next = [index + 1];
    for (let column = 0; column < to.length; column += 1) {
      const replaced = (row[column] ?? 0) + (from[index] === to[column] ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
