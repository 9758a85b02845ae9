export { type FakeClock, fakeClock } from '../core/index.ts';
export { type LoggedLine, type TestComponents, testInfrastructure } from './test-infrastructure.ts';
export { withRollback } from './with-rollback.ts';
