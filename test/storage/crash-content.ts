/** Keys that one loop alone writes, and keys that several fight over. */
export const ownKeys: readonly string[] = ['own/one', 'own/two'];
export const sharedKeys: readonly string[] = ['shared/a', 'shared/b', 'other/deep/c'];

/** The content of the put with this id, by which it is known again: no other is a part of it. */
export function contentOf(id: string, length: number): Uint8Array<ArrayBuffer> {
  const line = `${id}\n`;
  return new TextEncoder().encode(line.repeat(Math.ceil(length / line.length) + 1));
}
