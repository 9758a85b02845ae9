import type { Clock, InfrastructureError } from '../../core/index.ts';
import type { StorageCapabilities } from '../driver.ts';
import type { StoredFile } from '../stored-file.ts';

/** What a scanner says of a file; `infected` with what it found. */
export type ScanVerdict = 'clean' | { readonly infected: string };

/** Options of {@link quarantined}. */
export interface QuarantinedOptions {
  /**
   * Looks at a content. Its file has the key that it is to have, and need not be read to the end. What it throws, or anything but a verdict, leaves
   * the file pending.
   */
  readonly scan: (file: StoredFile) => Promise<ScanVerdict>;
  /**
   * Whether `put` and the completion of an upload leave the file pending, for a job that calls `scan` or `scanPending`. There are no conditional
   * writes then. Default no: they resolve once the file is released, and throw when it is infected.
   */
  readonly deferred?: boolean;
  readonly clock?: Clock;
}

/** What a quarantined storage can do over one that can do this. */
export type QuarantinedCapabilities<Inner extends StorageCapabilities> = Omit<
  Inner,
  'conditionalWrites'
> & {
  readonly conditionalWrites: boolean;
  readonly conditionalDeletes: Inner['conditionalDeletes'];
  readonly nestedKeys: Inner['nestedKeys'];
  readonly atomicMove: Inner['atomicMove'];
  readonly signedUrls: Inner['signedUrls'];
  readonly signedUploads: Inner['signedUploads'];
  readonly handler: Inner['handler'];
  readonly signedChecksums: Inner['signedChecksums'];
  readonly resumableUploads: Inner['resumableUploads'];
};

/** What became of the pending files. */
export interface ScanReport {
  /** Keys of which a version was released. */
  readonly clean: readonly string[];
  /** What was found, and put aside. */
  readonly infected: readonly { readonly key: string; readonly reason: string }[];
  /** What could not be scanned or released, and is still pending. */
  readonly failed: readonly { readonly key: string; readonly error: InfrastructureError }[];
}
