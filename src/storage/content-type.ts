import { fileTypeFromBuffer } from 'file-type';
import mime from 'mime';

const unknownContentType = 'application/octet-stream';

/** Tells a content type by the first bytes; where they say nothing (text has no signature), by the key's extension. */
export async function detectContentType(sample: Uint8Array, key: string): Promise<string> {
  const detected = await fileTypeFromBuffer(sample).catch(() => undefined);
  if (detected !== undefined) return detected.mime;
  const byName = mime.getType(key);
  if (byName === null) return unknownContentType;
  return byName.startsWith('text/') ? `${byName}; charset=utf-8` : byName;
}
