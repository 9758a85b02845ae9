import { createHash } from 'node:crypto';

import type { PictureFile } from '../../application/newsroom.ts';

const width = 1200;
const height = 800;

interface Palette {
  readonly paper: string;
  readonly ink: string;
  readonly spot: string;
  readonly tint: string;
}

// Two inks on tinted paper, as a small press prints: the spot colours are dark enough to stand on their paper.
const palettes: readonly Palette[] = [
  { paper: '#f1e7d3', ink: '#22252b', spot: '#b8402a', tint: '#dcb98a' },
  { paper: '#e4e9e1', ink: '#1d2b2a', spot: '#2c6e63', tint: '#a9c2a6' },
  { paper: '#efe4da', ink: '#2a2230', spot: '#7a3b5d', tint: '#d7b1a4' },
  { paper: '#e3e8ee', ink: '#1c2738', spot: '#2f5d94', tint: '#a8bdd2' },
  { paper: '#f3ebc9', ink: '#2b2a20', spot: '#a8761b', tint: '#dcc680' },
];

type Random = () => number;
type Motif = (random: Random, palette: Palette) => string;

const motifs: readonly Motif[] = [sunrise, hills, arcade, halftone, truss];

/** Draws an SVG cover out of nothing but a title: the same title always gives the same bytes. It has no letters, so no fonts. */
export function drawCover(title: string): PictureFile {
  const digest = createHash('sha256').update(title).digest();
  const random = randomFrom(digest.readUInt32LE(0));
  const palette = pick(palettes, random);
  const motif = pick(motifs, random);
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">` +
    `<rect width="${width}" height="${height}" fill="${palette.paper}"/>${motif(random, palette)}</svg>`;
  return { bytes: new TextEncoder().encode(svg), contentType: 'image/svg+xml', width, height };
}

function sunrise(random: Random, { ink, spot, tint }: Palette): string {
  const horizon = between(random, 430, 520);
  const x = between(random, 300, 900);
  const radius = between(random, 170, 250);
  const rings = [1.75, 1.4].map(
    (factor) =>
      `<circle cx="${x}" cy="${horizon}" r="${round(radius * factor)}" fill="none" stroke="${tint}" stroke-width="14"/>`,
  );
  const waves: string[] = [];
  for (let y = horizon + 14, step = 12; y < height + 20; y += step, step *= 1.16) {
    const reach = (y - horizon) * 1.6 + radius * 0.6;
    waves.push(line(0, y, width, y, ink, 3));
    waves.push(line(x - reach * random(), y + 5, x + reach * random(), y + 5, spot, 6));
  }
  return (
    rings.join('') +
    `<circle cx="${x}" cy="${horizon}" r="${radius}" fill="${spot}"/>` +
    `<rect y="${horizon}" width="${width}" height="${height - horizon}" fill="${tint}"/>${waves.join('')}`
  );
}

function hills(random: Random, { ink, spot, tint }: Palette): string {
  const sun = `<circle cx="${between(random, 200, 1000)}" cy="${between(random, 130, 230)}" r="${between(random, 60, 100)}" fill="${spot}"/>`;
  const fills = [tint, spot, ink];
  const layers = fills.map((fill, index) => {
    const base = 380 + index * 130;
    const outline: string[] = [];
    const phase = random() * 6;
    const waves = 1.2 + random() * 1.6;
    for (let x = 0; x <= width; x += 40) {
      const angle = phase + (x / width) * Math.PI * 2 * waves;
      outline.push(`${x},${round(base + Math.sin(angle) * 62 + Math.sin(angle * 2.3) * 24)}`);
    }
    const hatch = outline
      .filter((_, at) => at % 2 === index % 2)
      .map((point) => {
        const [x = 0, y = 0] = point.split(',').map(Number);
        return line(x, y + 22, x - 36, y + 150, index === 2 ? tint : ink, 2.5);
      });
    return `<polygon points="0,${height} ${outline.join(' ')} ${width},${height}" fill="${fill}"/>${hatch.join('')}`;
  });
  return sun + layers.join('');
}

function arcade(random: Random, { ink, spot, tint }: Palette): string {
  const count = Math.round(between(random, 4, 7));
  const bay = width / count;
  const lit = Math.floor(random() * count);
  const bays = Array.from({ length: count }, (_, index) => {
    const x = index * bay;
    const top = 210 + between(random, 0, 120);
    const radius = bay * 0.34;
    const arch = (inset: number, fill: string): string => {
      const r = radius - inset;
      const middle = x + bay / 2;
      return `<path d="M${round(middle - r)} ${height} V${round(top + radius)} A${round(r)} ${round(r)} 0 0 1 ${round(middle + r)} ${round(top + radius)} V${height} Z" fill="${fill}"/>`;
    };
    return (
      arch(0, ink) + arch(14, index === lit ? spot : tint) + arch(34, index === lit ? tint : ink)
    );
  });
  const courses = Array.from({ length: 6 }, (_, index) =>
    line(
      0,
      30 + index * 26,
      width,
      30 + index * 26,
      index % 3 === 0 ? spot : ink,
      index % 3 === 0 ? 8 : 2.5,
    ),
  );
  return (
    courses.join('') +
    bays.join('') +
    `<rect y="${height - 36}" width="${width}" height="36" fill="${ink}"/>`
  );
}

function halftone(random: Random, { ink, spot, tint }: Palette): string {
  const focusX = between(random, 300, 900);
  const focusY = between(random, 240, 560);
  const reach = between(random, 420, 560);
  const dots: string[] = [];
  for (let row = 0; row * 40 <= height; row += 1) {
    for (let column = 0; column * 40 <= width; column += 1) {
      const x = column * 40 + (row % 2) * 20;
      const y = row * 40;
      const closeness = 1 - Math.hypot(x - focusX, y - focusY) / reach;
      const radius = closeness > 0 ? 3 + closeness * 19 : 3;
      dots.push(
        `<circle cx="${x}" cy="${y}" r="${round(radius)}" fill="${closeness > 0.55 ? spot : closeness > 0 ? ink : tint}"/>`,
      );
    }
  }
  return dots.join('');
}

function truss(random: Random, { ink, spot, tint }: Palette): string {
  const deck = between(random, 470, 540);
  const crown = between(random, 170, 250);
  const panels = Math.round(between(random, 4, 7)) * 2;
  const panel = width / panels;
  const crownAt = (index: number): number => {
    const middle = (index / panels) * 2 - 1;
    return deck - (deck - crown) * (1 - middle * middle * 0.85);
  };
  const parts = [
    `<circle cx="${between(random, 250, 950)}" cy="${round(crown + 40)}" r="${between(random, 90, 150)}" fill="${tint}"/>`,
  ];
  for (let index = 0; index < panels; index += 1) {
    const [left, right] = [index * panel, (index + 1) * panel];
    parts.push(line(left, crownAt(index), right, crownAt(index + 1), ink, 16));
    parts.push(line(left, deck, left, crownAt(index), ink, 8));
    parts.push(
      index < panels / 2
        ? line(left, crownAt(index), right, deck, spot, 8)
        : line(left, deck, right, crownAt(index + 1), spot, 8),
    );
  }
  for (const at of [0.2, 0.8]) {
    parts.push(
      `<polygon points="${width * at - 46},${deck} ${width * at + 46},${deck} ${width * at + 74},${height} ${width * at - 74},${height}" fill="${ink}"/>`,
    );
  }
  for (let y = deck + 70; y < height; y += 26) parts.push(line(0, y, width, y, tint, 5));
  parts.push(`<rect y="${deck - 8}" width="${width}" height="34" fill="${ink}"/>`);
  return parts.join('');
}

function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  color: string,
  weight: number,
): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${color}" stroke-width="${weight}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function between(random: Random, low: number, high: number): number {
  return Math.round(low + random() * (high - low));
}

function pick<Item>(items: readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

// mulberry32: Math.random has no seed.
function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
