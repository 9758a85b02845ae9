interface Class {
  readonly prototype: unknown;
}

function isClass(value: unknown): value is Class {
  return typeof value === 'function' && 'prototype' in value;
}

/** The names of the classes in a module that extend this one, and that no other extends. */
export function columnClasses(
  module: Readonly<Record<string, unknown>>,
  base: abstract new (...values: never[]) => unknown,
): string[] {
  const classes = Object.values(module)
    .filter(isClass)
    .filter(({ prototype }) => prototype instanceof base);
  return classes
    .filter((one) => !classes.some((other) => Object.getPrototypeOf(other) === one))
    .map((one) => (one as unknown as { readonly name: string }).name);
}
