import { importPeer } from '../../core/index.ts';

// It is CommonJS, whose names Node does not all find.
const peer: { readonly default: typeof import('web-push') } = await importPeer(
  'underpin/push/web-push',
  'web-push',
  () => import('web-push'),
);

export const webPushLibrary: typeof import('web-push') = peer.default;
