import type { ReceivedMail } from 'underpin/ports';

/** The real application in processes of its own, as readers and editors meet it. Its processes end when it is disposed of. */
export interface RunningGazette extends AsyncDisposable {
  /** Where two of its web processes are; the same when it has only one. */
  readonly urls: readonly [string, string];
  /** What was mailed so far, to whomever. */
  mails(): Promise<readonly ReceivedMail[]>;
  /** Asks every process to end, and gives the exit code of each. */
  stop(): Promise<readonly (number | null)[]>;
}
