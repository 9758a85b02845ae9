import type { MiddlewareHandler } from 'hono';
import { basicAuth } from 'hono/basic-auth';

/**
 * Who may enter the editors' desk. `local`: who comes to this machine by one of its own names; `password`: who gives it;
 * `closed`: nobody.
 */
export type DeskAccess =
  | { readonly kind: 'local' }
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'closed' };

/** The names under which only this machine itself can be reached. */
export const localNames: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Lets through who may enter. */
export function deskGuard(access: DeskAccess): MiddlewareHandler {
  if (access.kind === 'password')
    return basicAuth({ username: 'editor', password: access.password, realm: 'Editors desk' });
  return async (c, next) => {
    // The name too: a stranger's site could make its own name lead here, and use the reader's browser to write.
    if (access.kind === 'local' && localNames.has(new URL(c.req.url).hostname)) return await next();
    return c.text(
      access.kind === 'local'
        ? 'The editors’ desk is open at http://localhost or http://127.0.0.1 only. Set EDITOR_PASSWORD to open it under other names, then log in as "editor".\n'
        : 'The editors’ desk is closed, since others can reach this address. Set EDITOR_PASSWORD to open it, then log in as "editor".\n',
      403,
    );
  };
}
