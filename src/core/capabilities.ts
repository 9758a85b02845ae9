import { InfrastructureError, type ErrorOrigin } from './errors.ts';

/** What an adapter can do, as a literal object, so that types and the docs' matrix read it too. */
export type Capabilities = Readonly<Record<string, boolean>>;

/** Throws `unimplemented` when the adapter lacks the capability: an absent one is refused, never silently ignored. */
export function requireCapability<Name extends string>(
  capabilities: Readonly<Record<Name, boolean>>,
  capability: Name,
  origin: ErrorOrigin,
): void {
  if (capabilities[capability]) return;
  throw new InfrastructureError({
    code: 'unimplemented',
    ...origin,
    message: `${origin.adapter === undefined ? '' : `the ${origin.adapter} adapter of `}${origin.component} has no ${capability}: choose an adapter that declares it`,
    details: { capability },
  });
}
