import { type Classify, type Policy, PolicyExecutor, wrapError } from '../core/index.ts';

// Together with the part that is being filled, at most this many are in memory.
const partsAtOnce = 4;

/** Sends one part, and ends when it has arrived. */
export type SendPart<Sent = unknown> = (signal: AbortSignal | undefined) => Promise<Sent>;

/** Sends the parts of a content, some at once, each of which is sent again by itself when it fails: a stream cannot be read twice. */
export class PartSender {
  readonly #adapter: string;
  readonly #classify: Classify;
  readonly #executor: PolicyExecutor;

  /** Of the policy only `retry` is for the parts: the rest guards the call that they belong to. */
  constructor(adapter: string, classify: Classify, { name, retry }: Policy) {
    this.#adapter = adapter;
    this.#classify = classify;
    this.#executor = new PolicyExecutor({ name, ...(retry && { retry }) });
  }

  /** What each part gave, in their order. Settles when none is under way any more: one that arrived after all was given up would stay. */
  async sendAll<Sent>(
    parts: AsyncIterable<SendPart<Sent>> | Iterable<SendPart<Sent>>,
    signal: AbortSignal | undefined,
  ): Promise<Sent[]> {
    const failed = new AbortController();
    const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
    const sent: Promise<Sent>[] = [];
    const underWay = new Set<Promise<unknown>>();
    try {
      for await (const part of parts) {
        stop.throwIfAborted();
        const sending = this.send(part, stop);
        sent.push(sending);
        underWay.add(sending);
        sending.then(
          () => underWay.delete(sending),
          (error: unknown) => failed.abort(error),
        );
        if (underWay.size >= partsAtOnce) await Promise.race(underWay);
      }
      return await Promise.all(sent);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(sent);
      throw signal?.aborted ? signal.reason : failed.signal.reason;
    }
  }

  /** Sends one part. */
  async send<Sent>(part: SendPart<Sent>, signal: AbortSignal | undefined): Promise<Sent> {
    const origin = { component: 'storage', adapter: this.#adapter, operation: 'put' };
    const wrap = (error: unknown): ReturnType<typeof wrapError> =>
      wrapError(error, origin, (raw) => {
        const classification = this.#classify(raw);
        return classification && { ...classification, outcome: 'not-applied' };
      });
    const call = { origin, ...(signal && { signal }), repeatable: true, wrap };
    return await this.#executor.execute(call, part);
  }
}
