// Written after each peer's own documentation, as it comes.

import { Readable } from 'node:stream';

import { Files } from 'files-sdk';
import { s3 as filesSdkS3 } from 'files-sdk/s3';
import { Disk } from 'flydrive';
import { S3Driver } from 'flydrive/drivers/s3';

// Without it, Ceph answers streams with 411.
const checksums = {
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
};

function flydrive({ bucket, ...options }) {
  const driver = new S3Driver({
    ...options,
    ...checksums,
    bucket,
    forcePathStyle: true,
    visibility: 'private',
    supportsACL: false,
  });
  const disk = new Disk(driver);
  return {
    id: 'flydrive',
    put: (key, bytes, contentType) => disk.put(key, bytes, { contentType }),
    get: (key) => disk.getBytes(key),
  };
}

function filesSdk(options) {
  const files = new Files({ adapter: filesSdkS3({ ...options, forcePathStyle: true }) });
  return {
    id: 'files-sdk',
    put: (key, bytes, contentType) => files.upload(key, bytes, { contentType }),
    get: async (key) => new Uint8Array(await (await files.download(key)).arrayBuffer()),
    putStream: (key, content) => files.upload(key, Readable.toWeb(content)),
  };
}

export const stores = [flydrive, filesSdk];
