import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { removeStaleTemporaryFiles } from './atomic-file.ts';
import { type Classification, classifySystemError, systemErrorCode } from './errors.ts';

const unfinishedAfter = '1h';

/** A directory that an embedded adapter keeps for itself: what it needs before use, and what its failures mean. */
export class PrivateDirectory {
  /** Absolute. */
  readonly path: string;
  readonly #name: string;

  /** `name` is what messages call it, such as `inbox`. */
  constructor(path: string, name: string) {
    this.path = resolve(path);
    this.#name = name;
  }

  /** Makes it for this process's user alone where it is not there, and removes what unfinished writes left an hour ago. */
  async prepare(): Promise<void> {
    await mkdir(dirname(this.path), { recursive: true });
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    await this.check();
    await removeStaleTemporaryFiles(this.path, { olderThan: unfinishedAfter });
  }

  /** Rejects when it cannot be read and written. */
  async check(): Promise<void> {
    await access(this.path, constants.R_OK | constants.W_OK | constants.X_OK);
  }

  /** Maps the operating system's errors to what to do about them here. */
  readonly classify = (error: unknown): Classification | undefined => {
    const code = systemErrorCode(error);
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
      return {
        code: 'resource-exhausted',
        outcome: 'not-applied',
        retryable: false,
        message: `no space is left for the ${this.#name} in ${this.path}: free some, then send again`,
      };
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      return {
        code: 'permission-denied',
        message: `the ${this.#name} in ${this.path} cannot be read and written: give this process's user the right to`,
      };
    }
    if (code === 'ENOTDIR' || code === 'EEXIST') {
      return {
        code: 'failed-precondition',
        message: `the ${this.#name} ${this.path} is not a folder: name another place, or remove the file that is there`,
      };
    }
    if (code === 'ENOENT') {
      return {
        code: 'failed-precondition',
        message: `the ${this.#name} ${this.path} is not there: it was removed while in use, or cannot be made`,
      };
    }
    return classifySystemError(error);
  };
}
