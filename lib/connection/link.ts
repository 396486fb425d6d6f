import type { Duplex } from 'node:stream';
import type { Endpoint } from '../errors.js';

/** What happens on a link, in this order: any number of chunks, at most one `fin`, exactly one `lost`. */
export interface LinkEvents {
  /** Bytes came. The chunk is the receiver's to keep, unless there is `keep`: then it is lent until this returns, and `keep` gives the same bytes for good. */
  chunk(chunk: Buffer, keep?: () => Buffer): void;
  /** The peer has sent its FIN; no chunk follows. */
  fin(): void;
  /** The link is over, with the error if there was one. */
  lost(error: Error | undefined): void;
}

/**
 * One live byte stream, reduced to what the two streets need. Everything above it is tested on fakes of it.
 *
 * It is open from the start: chunks flow from `listen()` on, until `pause()`.
 */
export interface Link {
  readonly endpoint: Endpoint;
  /** The stream beneath, for the user; the streets do not touch it. */
  readonly raw: Duplex;
  /** Whether it was destroyed, by us or by an error: then a write callback without error proves nothing. */
  readonly destroyed: boolean;
  listen(events: LinkEvents): void;
  pause(): void;
  resume(): void;
  /** The next chunk has at most so many bytes. Only a link that reads into memory of its own can promise that. */
  limit?(bytes: number): void;
  /** Hands bytes over; they must not change before `done`, which comes once, with an error or when the kernel took them all. */
  write(batch: Uint8Array, done: (error?: Error | null) => void): void;
  /** Sends FIN once all that was handed over is written; chunks go on coming. */
  end(): void;
  /** Gives the link up at once; no event follows. */
  destroy(): void;
  /** Gives the stream beneath away, drops what it still holds, and is of no use any more; no event follows. Only a link over a stream that can carry another has it. */
  release?(): Duplex | undefined;
  /** Once the link is over: takes out the bytes that came before its end and that the stream beneath still holds, because it was paused. */
  rest(): Buffer;
}
