import sharp, { type SharpOptions } from 'sharp';

import type { PictureDesk, PictureFile } from '../../application/newsroom.ts';
import { BrokenRule } from '../../domain/broken-rule.ts';
import { drawCover } from './cover.ts';

/** The most pixels that an upload may have: 50 megapixels take about 200 MB to decode. */
const maximumPixels = 50_000_000;

/** Wide enough for a full screen. */
const maximumSide = 2400;

// SVG and the like are refused, for they can name other files.
const uploadFormats: ReadonlySet<string> = new Set(['jpeg', 'png', 'webp', 'gif', 'heif']);

const options: SharpOptions = { limitInputPixels: maximumPixels, failOn: 'error' };

/** The {@link PictureDesk} on sharp. */
export const pictureDesk: PictureDesk = {
  async prepare(upload) {
    await checkUpload(upload);
    try {
      const image = sharp(upload, options).rotate().resize({
        width: maximumSide,
        height: maximumSide,
        fit: 'inside',
        withoutEnlargement: true,
      });
      return pictureFile(await image.webp({ quality: 88 }).toBuffer({ resolveWithObject: true }));
    } catch (error) {
      throw new BrokenRule(
        'picture',
        `the picture is damaged (${reasonOf(error)}): save it again and upload that`,
      );
    }
  },

  cover: drawCover,

  async thumbnail(original, width) {
    const image = sharp(original, options).resize({ width, withoutEnlargement: true });
    return pictureFile(await image.webp({ quality: 80 }).toBuffer({ resolveWithObject: true }));
  },
};

async function checkUpload(upload: Uint8Array): Promise<void> {
  let format: string | undefined;
  let pixels: number;
  try {
    const metadata = await sharp(upload, { ...options, limitInputPixels: false }).metadata();
    format = metadata.format;
    pixels = metadata.width * metadata.height * (metadata.pages ?? 1);
  } catch {
    throw new BrokenRule(
      'picture',
      'this is not a picture: upload a JPEG, PNG, WebP, GIF or AVIF file',
    );
  }
  if (format === undefined || !uploadFormats.has(format)) {
    throw new BrokenRule(
      'picture',
      `${format ?? 'this'} is not a kind of picture that can be printed: upload a JPEG, PNG, WebP, GIF or AVIF file`,
    );
  }
  if (pixels > maximumPixels) {
    throw new BrokenRule(
      'picture',
      `the picture has ${Math.round(pixels / 1e6)} megapixels: make it smaller than ${maximumPixels / 1e6}`,
    );
  }
}

function pictureFile({
  data,
  info,
}: {
  data: Buffer;
  info: { width: number; height: number };
}): PictureFile {
  return { bytes: data, contentType: 'image/webp', width: info.width, height: info.height };
}

// libvips gives a line for each thing that it found.
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
