import type { DriverFile } from '../driver.ts';

/** The pieces of a content, as drivers give them. */
export type Pieces = AsyncIterable<Uint8Array<ArrayBuffer>>;

/** What `transform` makes of a content. Ending it early releases the content, also before its first piece was asked for. */
export function transformed<Piece extends Uint8Array>(
  content: AsyncIterable<Piece>,
  transform: (pieces: AsyncIterable<Piece>) => AsyncGenerator<Uint8Array<ArrayBuffer>, void>,
): Pieces {
  const pieces = transform(content);
  let isStarted = false;
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        isStarted = true;
        return await pieces.next();
      },
      return: async () => {
        // A generator that was never started would not run its clean-up.
        if (!isStarted) await content[Symbol.asyncIterator]().return?.();
        return await pieces.return();
      },
    }),
  };
}

/** A content as it is, whose errors are told as `relayed` makes them. */
export function passing(content: Pieces, relayed: (error: unknown) => unknown): Pieces {
  return transformed(content, async function* (pieces) {
    try {
      yield* pieces;
    } catch (error) {
      throw relayed(error);
    }
  });
}

/** The content of a file as pieces, also where its driver gave it in one. */
export function piecesOf(body: DriverFile['body']): Pieces {
  return body instanceof Uint8Array ? ReadableStream.from([body]) : body;
}
