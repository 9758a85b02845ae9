import { describe } from 'vitest';

import { makeBucket } from '../../../test/services/buckets.ts';
import { service } from '../../../test/services/services.ts';
import { describeOutages } from '../../../test/storage/outages.ts';
import { noPolicy } from '../../core/index.ts';
import { s3Storage } from './index.ts';

const { missing } = await service('s3');

describe.skipIf(missing)('storage s3', () => {
  describeOutages({
    server: 's3',
    isDurable: true,
    async make(serverUrl) {
      const { options } = await makeBucket(serverUrl);
      return {
        open: (proxyUrl) =>
          s3Storage({ ...options, endpoint: new URL(proxyUrl).origin, policy: noPolicy }),
        secret: options.credentials.secretAccessKey,
      };
    },
  });
});
