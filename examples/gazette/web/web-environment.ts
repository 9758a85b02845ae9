import type { RequestIdVariables } from 'hono/request-id';

/** What handlers of the web pages share. */
export interface WebEnvironment {
  readonly Variables: RequestIdVariables & {
    /** Stands in for the policy of all other pages. */
    contentSecurityPolicy?: string;
  };
}

/** A mail's HTML may style itself, and nothing else. */
export const policyOfLetters =
  "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; sandbox; frame-ancestors 'self'";

/** A picture that is opened by itself is a document: nothing in it may run. */
export const policyOfPictures = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
