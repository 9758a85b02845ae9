import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, test } from 'vitest';

import { makeBucket } from '../../../test/services/buckets.ts';
import { sharedServer } from '../../../test/services/servers.ts';
import { service } from '../../../test/services/services.ts';
import { mebibyte } from '../../../test/storage/content.ts';

const { missing } = await service('s3');
const uploadProcess = path.join(import.meta.dirname, '../../../test/storage/upload-process.ts');

describe.skipIf(missing)('storage s3 › memory', () => {
  test('a stream of 512 MiB and unknown length goes through less than 96 MiB', async () => {
    const bucket = await makeBucket((await sharedServer('s3')).url);
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--conditions=underpin-source',
        uploadProcess,
        JSON.stringify(bucket.options),
        '512',
      ]);
      const { size, growth } = JSON.parse(stdout) as { size: number; growth: number };
      expect(size).toBe(512 * mebibyte);
      expect(growth / mebibyte).toBeLessThan(96);
    } finally {
      await bucket.remove();
    }
  });
});
