export type { OrmDatabase } from '../../src/database/orm-connection.ts';
