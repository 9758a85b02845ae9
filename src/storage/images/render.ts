import type { Metadata, SharpOptions } from 'sharp';

import { type ErrorOrigin, type InfrastructureError, invalidArgument } from '../../core/index.ts';
import { detectContentType } from '../content-type.ts';
import { sharp } from './sharp.ts';

/** How a variant looks. At least one of `width` and `height`; a picture is never made larger. */
export interface ImageVariant {
  /** In pixels. */
  readonly width?: number;
  /** In pixels. */
  readonly height?: number;
  /** With both sides given: whether the whole picture is shown within them, or what fills them. Default `inside`. */
  readonly fit?: 'inside' | 'cover';
  readonly format: 'webp' | 'avif' | 'jpeg' | 'png';
  /** From 1 to 100. Default: the format's own. */
  readonly quality?: number;
}

/** Bounds of what a picture may cost. */
export interface ImageLimits {
  readonly maxPixels: number;
  /** How long one picture may take, in milliseconds. */
  readonly timeout: number;
}

// What can name other files or run programs, such as SVG and PDF, is no picture here, and its decoder is never begun.
const readableTypes: ReadonlySet<string> = new Set([
  'image/jpeg',
  'image/png',
  'image/apng',
  'image/webp',
  'image/gif',
  'image/avif',
  'image/tiff',
]);

/** The variant of a picture, upright and without the facts a camera leaves in it. Throws `invalid-argument` for what is no sound picture. */
export async function renderImage(
  content: Uint8Array,
  { width, height, fit = 'inside', format, quality }: ImageVariant,
  limits: ImageLimits,
  origin: ErrorOrigin,
): Promise<Uint8Array<ArrayBuffer>> {
  const type = await detectContentType(content, '');
  if (!readableTypes.has(type))
    throw unsound(`the file is no picture that variants are made of, but ${type}`, origin);
  const options: SharpOptions = { limitInputPixels: limits.maxPixels, failOn: 'error' };
  // The header is read first: decoding is what costs.
  checkSize(await readHeader(content, options, origin), limits, origin);
  try {
    const image = sharp(content, options)
      .autoOrient()
      .resize({
        ...(width === undefined ? {} : { width }),
        ...(height === undefined ? {} : { height }),
        fit,
        withoutEnlargement: true,
      })
      .toFormat(format, quality === undefined ? {} : { quality })
      .timeout({ seconds: Math.ceil(limits.timeout / 1000) });
    return new Uint8Array(await image.toBuffer());
  } catch (error) {
    throw unsound(`the picture cannot be decoded (${reasonOf(error)})`, origin);
  }
}

async function readHeader(
  content: Uint8Array,
  options: SharpOptions,
  origin: ErrorOrigin,
): Promise<Metadata> {
  try {
    return await sharp(content, { ...options, limitInputPixels: false }).metadata();
  } catch (error) {
    throw unsound(`the picture cannot be read (${reasonOf(error)})`, origin);
  }
}

function checkSize(
  { width, height }: Metadata,
  { maxPixels }: ImageLimits,
  origin: ErrorOrigin,
): void {
  const pixels = width * height;
  if (pixels > maxPixels)
    throw unsound(`the picture has ${pixels} pixels, more than ${maxPixels}`, origin);
}

function unsound(message: string, origin: ErrorOrigin): InfrastructureError {
  return invalidArgument(
    origin,
    `${message}: refuse it when it is uploaded, or give another source`,
  );
}

// libvips gives a line for each thing that it found.
function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1).join('');
}
