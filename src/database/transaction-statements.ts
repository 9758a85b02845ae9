// Raw SQL must not begin or end a transaction: what follows would take effect by itself, or in somebody else's.

const firstWord = /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*([a-z]+)/i;
const transactionEnd = /^(?:commit|end|rollback|abort)$/i;
const savepointRollback = /\brollback\s+(?:(?:transaction|work)\s+)?to\b/i;
const preparedTransaction = /\bprepare\s+transaction\b/i;

/** The word that a statement begins with, in lower case; undefined when it begins with none. */
export function firstWordOf(sql: string): string | undefined {
  return firstWord.exec(sql)?.[1]?.toLowerCase();
}

/** Whether raw SQL, one statement, ends the transaction that it is in; to roll back to a savepoint does not. */
export function endsTransaction(sql: string): boolean {
  const word = firstWordOf(sql) ?? '';
  if (word === 'prepare') return preparedTransaction.test(sql);
  return transactionEnd.test(word) && !savepointRollback.test(sql);
}
