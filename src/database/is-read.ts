import { type CompiledQuery, SelectQueryNode } from 'kysely';

/** Whether a statement reads and does nothing else, as far as the builder that made it knows. */
export function isRead({ query }: Pick<CompiledQuery, 'query'>): boolean {
  return (
    SelectQueryNode.is(query) &&
    (query.with?.expressions ?? []).every(({ expression }) => SelectQueryNode.is(expression))
  );
}

/** Whether it is a read that takes no locks. */
export function isPlainRead(query: Pick<CompiledQuery, 'query'>): boolean {
  return isRead(query) && (query.query as SelectQueryNode).endModifiers === undefined;
}
