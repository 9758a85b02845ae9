import assert from 'node:assert/strict';

import { type ConformanceCase, type ErrorCode, InfrastructureError } from '../../core/index.ts';
import type { EntityRepository } from '../entity-repository.ts';

/** What an adapter of this port may lack. */
export type RepositoryCapability = 'transactions' | 'versions' | 'textComparisons' | 'bigintOrder';

/** The entity that the suite stores: a field of every kind. `code` must be unique where it is present. */
export interface Sample {
  id: string;
  name: string;
  code?: string;
  rank: number;
  score: number | null;
  serial: bigint;
  active: boolean;
  createdAt: Date;
  readAt: Date | null;
  labels: string[];
  detail: { size: number; parts: (string | null)[] } | null;
  bytes: Uint8Array | null;
}

/** The entity with a version field that the suite stores. */
export interface VersionedSample {
  id: string;
  name: string;
  version: number;
}

/** What the suite is run on: two empty repositories of one engine. */
export interface RepositorySubject {
  readonly repository: EntityRepository<Sample>;
  /** With `version: 'version'`. A getter that makes it, where the adapter lacks `versions`: it must be refused. */
  readonly versioned: EntityRepository<VersionedSample>;
  /** Runs a function in a transaction, where the adapter declares `transactions`. */
  readonly transaction?: <Result>(fn: () => Promise<Result>) => Promise<Result>;
}

/** A rule of the repositories port. */
export type Case = ConformanceCase<RepositorySubject, RepositoryCapability>;

/** A sample with everything but the id by default. */
export function sample(id: string, fields: Partial<Sample> = {}): Sample {
  return {
    id,
    name: `name of ${id}`,
    rank: 0,
    score: null,
    serial: 0n,
    active: false,
    createdAt: new Date('2026-01-01T00:00:00.000Z'),
    readAt: null,
    labels: [],
    detail: null,
    bytes: null,
    ...fields,
  };
}

/** Their ids. */
export const ids = (entities: readonly { readonly id: string }[]): string[] =>
  entities.map(({ id }) => id);

/** Asserts that the call fails with this code, and gives its error. */
export async function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
): Promise<InfrastructureError> {
  const error: unknown = await promise.then(
    () => assert.fail(`expected ${code}, but the call succeeded`),
    (reason: unknown) => reason,
  );
  assert.ok(InfrastructureError.is(error), `expected an InfrastructureError, got ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** The repository of samples, with these in it. */
export async function filled(
  { repository }: RepositorySubject,
  ...samples: Sample[]
): Promise<EntityRepository<Sample>> {
  await repository.insertMany(samples);
  return repository;
}

/** Three samples of rank 1 to 3. */
export const ranked: readonly Sample[] = [
  sample('a', { rank: 1 }),
  sample('b', { rank: 2 }),
  sample('c', { rank: 3 }),
];

/** Four samples of different scores, the first without one. */
export const scored: readonly Sample[] = [
  sample('a', { score: null }),
  sample('b', { score: -1.5 }),
  sample('c', { score: 0 }),
  sample('d', { score: 2.5 }),
];
