import { type Classification, type Classify, classifySystemError } from '../core/index.ts';

/** What the drivers of this room throw for rules that no engine enforces for them. */
export class StorageFault extends Error {
  readonly classification: Classification;

  /** `cause`: what the engine said, where one did. */
  constructor(classification: Classification & { readonly message: string }, cause?: unknown) {
    super(classification.message, cause === undefined ? undefined : { cause });
    this.classification = classification;
  }
}

/** No file has this key. */
export function notFound(key: string, cause?: unknown): StorageFault {
  return new StorageFault(
    { code: 'not-found', message: `there is no file ${JSON.stringify(key)}` },
    cause,
  );
}

/** A condition of a write does not hold. */
export function conditionFailed(
  key: string,
  condition: 'ifMatch' | 'ifNoneMatch' | 'ifSourceMatch',
  cause?: unknown,
): StorageFault {
  const classification =
    condition === 'ifNoneMatch'
      ? ({
          code: 'already-exists',
          message: `there is already a file ${JSON.stringify(key)}`,
        } as const)
      : ({
          code: 'failed-precondition',
          message: `${JSON.stringify(key)} does not have the etag in ${condition}: read it again`,
        } as const);
  return new StorageFault(classification, cause);
}

/** A range begins where the file has already ended. */
export function rangeUnsatisfiable(key: string, size: number): StorageFault {
  return new StorageFault({
    code: 'invalid-argument',
    message: `the range starts past the end of ${JSON.stringify(key)}, which has ${size} bytes`,
  });
}

/** No upload is under way that a token stands for. */
export function noUpload(key: string, cause?: unknown): StorageFault {
  return new StorageFault(
    {
      code: 'not-found',
      message: `there is no upload of ${JSON.stringify(key)} under way: it was completed or aborted, or was left alone for too long`,
    },
    cause,
  );
}

/** The state in an upload's token is none of the adapter's. */
export function notAnUpload(): StorageFault {
  return new StorageFault({
    code: 'invalid-argument',
    message: "the upload's token was changed: keep it whole and unchanged",
  });
}

/** What arrived is not what its sender said. */
export function checksumMismatch(
  key: string,
  { expected, actual }: { readonly expected: string; readonly actual: string },
): StorageFault {
  return new StorageFault({
    code: 'data-loss',
    outcome: 'not-applied',
    message: `the SHA-256 of what arrived for ${JSON.stringify(key)} is ${actual}, not the expected ${expected}; nothing was stored`,
  });
}

/** Knows {@link StorageFault}, then the operating system's codes. */
export const classifyStorageFault: Classify = (error) =>
  error instanceof StorageFault ? error.classification : classifySystemError(error);
