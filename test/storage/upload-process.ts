// The process that memory.e2e.test.ts measures: puts a long stream of unknown length to a bucket, and says on its output by how many
// bytes its memory grew at most. Arguments: the options of s3Storage as JSON, and the length in mebibytes.

import { Readable } from 'node:stream';

import { s3Storage } from 'underpin/storage/s3';

import type { TestBucket } from '../services/buckets.ts';

const [options = '', mebibytes = ''] = process.argv.slice(2);
const chunk = Buffer.alloc(64 * 1024, 'x');

function* content(): Generator<Buffer, void> {
  for (let sent = 0; sent < Number(mebibytes) * 2 ** 20; sent += chunk.length) yield chunk;
}

await using files = s3Storage(JSON.parse(options) as TestBucket['options']);
// What the first request loads is no part of what an upload takes.
await files.put('small', 'x');
const idle = process.memoryUsage.rss();
let most = idle;
const measuring = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss());
}, 10);
const { size } = await files.put('large', Readable.from(content(), { objectMode: false }));
clearInterval(measuring);
process.stdout.write(JSON.stringify({ size, growth: most - idle }));
