import { InfrastructureError } from '../../core/index.ts';
import { endsTransaction, firstWordOf } from '../transaction-statements.ts';

const quoted = /'(?:[^']|'')*'|"(?:[^"]|"")*"/g;
const changesData = /\b(?:insert|update|delete|merge)\b/i;

/** Whether the rows of a statement can be fetched piece by piece: it is a query, and changes no data on the way. */
export function isQuery(sql: string): boolean {
  const word = firstWordOf(sql);
  if (word === 'select' || word === 'values') return true;
  return word === 'with' && !changesData.test(sql.replaceAll(quoted, ''));
}

// What may hold a semicolon that ends no statement: texts, names, comments, and bodies between dollars.
const opaque =
  /'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g;

/** Whether one of several statements ends the transaction that they are in. */
export function scriptEndsTransaction(text: string): boolean {
  // Bodies in standard SQL hold statements, and an END of their own.
  if (/\bbegin\s+atomic\b/i.test(text)) return false;
  return text.replaceAll(opaque, ' ').split(';').some(endsTransaction);
}

/** Whether one of the statements of a text reads rows that whoever sent it would have to send after it. */
export function readsFromClient(text: string): boolean {
  return text
    .replaceAll(opaque, ' ')
    .split(';')
    .some((sql) => firstWordOf(sql) === 'copy' && /\bfrom\s+stdin\b/i.test(sql));
}

/** The error of raw SQL that began or ended a transaction. */
export function transactionStatementRefused(): InfrastructureError {
  return new InfrastructureError({
    code: 'failed-precondition',
    component: 'database',
    message:
      'raw SQL must not begin or end a transaction, and what it was part of is rolled back: use database.transaction()',
  });
}
