export type { Comparison, Condition, Order } from './condition.ts';
export type {
  Comparisons,
  Criteria,
  Criterion,
  Direction,
  EntityId,
  FieldOf,
  IdFieldOf,
  NullComparisons,
  OrderBy,
  OrderComparisons,
  Scalar,
  ScalarFieldOf,
  TextComparisons,
  VersionFieldOf,
} from './criteria.ts';
export type { DriverFind, RepositoryCapabilities, RepositoryDriver, Row } from './driver.ts';
export { type EntityData, EntityRepository, type RepositoryOptions } from './entity-repository.ts';
export { compareRows, evaluate } from './evaluate.ts';
export type {
  FindOneOptions,
  FindOptions,
  Page,
  PageOptions,
  Repository,
  StreamOptions,
} from './repository.ts';
