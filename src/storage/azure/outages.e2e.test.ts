import { describe } from 'vitest';

import { connectionStringOf, makeContainer } from '../../../test/services/containers.ts';
import { service } from '../../../test/services/services.ts';
import { describeOutages } from '../../../test/storage/outages.ts';
import { noPolicy } from '../../core/index.ts';
import { azureStorage } from './index.ts';

const { missing } = await service('azurite');
const container = 'outages';

describe.skipIf(missing)('storage azure', () => {
  describeOutages({
    server: 'azurite',
    // Azurite has nothing on disk.
    isDurable: false,
    async make(serverUrl) {
      await makeContainer(serverUrl, container);
      return {
        open: (proxyUrl) =>
          azureStorage({
            container,
            connectionString: connectionStringOf(serverUrl, proxyUrl),
            policy: noPolicy,
          }),
        secret: decodeURIComponent(new URL(serverUrl).password),
      };
    },
  });
});
