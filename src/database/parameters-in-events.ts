/** What is told of a text, in characters. */
const longestText = 100;

/** The parameters of a statement for an event: bytes by their number, long texts by their beginning, the rest as they are. */
export function describeParameters(parameters: readonly unknown[]): readonly unknown[] {
  return parameters.map((value) => {
    if (typeof value === 'string')
      return value.length > longestText
        ? `${value.slice(0, longestText)}… (${value.length} characters)`
        : value;
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
      return `${value.byteLength} bytes`;
    if (Array.isArray(value)) return describeParameters(value.slice(0, longestText));
    return value;
  });
}
