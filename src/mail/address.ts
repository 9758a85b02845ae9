import { domainToASCII, domainToUnicode } from 'node:url';

import parseAddressList from 'nodemailer/lib/addressparser';

/** An address with an optional display name. */
export interface Mailbox {
  /** Shown in place of the address, such as `Ada Lovelace`. */
  readonly name?: string | undefined;
  /** `local@domain`. Unicode is allowed on both sides. */
  readonly address: string;
}

/** One address: `ada@example.com`, `Ada Lovelace <ada@example.com>`, or a {@link Mailbox}. A list is an array, never one string. */
export type MailAddress = string | Mailbox;

const control = /[\p{Cc}\u2028\u2029]/u;
// \p{So} has the pictures and nothing of ASCII; \p{S} would let < and > in.
const localPart =
  /^[\p{L}\p{M}\p{N}\p{So}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}\p{So}!#$%&'*+/=?^_`{|}~-]+)*$/u;
const domainText = /^[\p{L}\p{M}\p{N}.-]+$/u;
const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
// RFC 5321, 4.5.3.1: octets of the parts of an address.
const maxLocalPart = 64;
const maxAddress = 254;

/** Whether a text holds a line break or another control character, which no header may. */
export function hasControlCharacter(text: string): boolean {
  return control.test(text);
}

/**
 * Reads one address, or gives `undefined` for what is not exactly one. Stricter than RFC 5322, since addresses often come
 * from strangers: no quoted local parts, comments, groups, routes or domain literals. The domain comes back lower-case, in
 * its ASCII form unless the local part needs Unicode anyway.
 */
export function parseMailAddress(value: unknown): Mailbox | undefined {
  const mailbox = typeof value === 'string' ? parseText(value) : value;
  if (typeof mailbox !== 'object' || mailbox === null || !('address' in mailbox)) return undefined;
  const name: unknown = 'name' in mailbox ? mailbox.name : undefined;
  if (name !== undefined && !isDisplayName(name)) return undefined;
  const address =
    typeof mailbox.address === 'string' ? normalizeAddress(mailbox.address) : undefined;
  if (address === undefined) return undefined;
  return name ? { name, address } : { address };
}

/** Whether an address needs a mail system that speaks SMTPUTF8 (RFC 6531). */
export function needsUnicode(address: string): boolean {
  // eslint-disable-next-line no-control-regex -- the range is that of ASCII
  return !/^[\x00-\x7f]*$/.test(address);
}

// Many clients decode an encoded word also where it stands in quotes: the name shown would be another than the one given.
function isDisplayName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.length <= 256 &&
    !hasControlCharacter(name) &&
    !/=\?.*\?=/.test(name)
  );
}

function parseText(text: string): Mailbox | undefined {
  if (text.length > 1024 || hasControlCharacter(text)) return undefined;
  const [only, ...others] = parseAddressList(text);
  if (only?.address === undefined || others.length > 0) return undefined;
  // The parser finds an address in almost anything; only the two plain forms are taken.
  const trimmed = text.trim();
  const isPlain = trimmed === only.address || trimmed.endsWith(`<${only.address}>`);
  return isPlain ? { name: only.name, address: only.address } : undefined;
}

function normalizeAddress(text: string): string | undefined {
  const at = text.lastIndexOf('@');
  const local = text.slice(0, at);
  const domain = text.slice(at + 1);
  if (at < 1 || !localPart.test(local) || !domainText.test(domain)) return undefined;
  if (Buffer.byteLength(local) > maxLocalPart) return undefined;
  const ascii = domainToASCII(domain);
  const labels = ascii.split('.');
  // A last label of digits only is an IP address, which needs brackets and is not taken here.
  if (!labels.every((each) => label.test(each)) || /^\d+$/.test(labels.at(-1) ?? ''))
    return undefined;
  const address = `${local}@${needsUnicode(local) ? domainToUnicode(ascii) : ascii}`;
  return Buffer.byteLength(address) <= maxAddress ? address : undefined;
}
