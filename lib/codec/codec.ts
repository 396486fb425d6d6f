import type { FrameError } from '../errors.js';

/**
 * Turns bytes into frames of one connection; it is made anew for each, so that half a frame never meets the next one's bytes.
 *
 * The contract: `push` takes a chunk and emits nothing. `next` gives one frame a call; `undefined` means that more bytes
 * are needed, hence no frame is `undefined`. A throw of `next` ends the stream: the connection is dropped. `end` throws a
 * `FrameError` of kind `truncated` if part of a frame is left. The driver may stop between any two calls of `next`.
 */
export interface Decoder<In> {
  push(chunk: Buffer): void;
  next(): In | undefined;
  end(): void;
  /**
   * A promise that no frame shares memory with a chunk, or that whoever gets one is told not to keep it. It copies what is still needed of the chunks pushed so far, whose memory is
   * then written over; so the socket reads into the same memory again and again. Without it every chunk is the decoder's to keep.
   */
  detach?(): void;
}

/**
 * How messages become bytes and bytes become messages. A codec is pure: it has no socket, no clock and no Rx.
 *
 * `encode` keeps no state and runs once for each message, inside the call that hands it over; what it throws refuses that message alone.
 * `decoder` is called once for each connection that brings bytes; it passes a frame that it skipped, in order to go on, to `report`.
 *
 * @example
 * import { type Codec, tcpSocket } from 'rx-tcp';
 * const numbers: Codec<number, number> = {
 *   encode: (n) => Uint8Array.of(n),
 *   decoder: () => {
 *     let chunk: Buffer = Buffer.alloc(0), at = 0;
 *     return {
 *       push: (bytes) => void ((chunk = bytes), (at = 0)),
 *       next: () => chunk[at++],
 *       end: () => undefined,
 *     };
 *   },
 * };
 * tcpSocket({ host: 'localhost', port: 1, codec: numbers, lazyConnect: true }).destroy();
 */
export interface Codec<In, Out> {
  decoder(report: (skipped: FrameError) => void): Decoder<In>;
  encode(message: Out): Buffer | Uint8Array;
}

/** What counts as bytes on the way out; a string is written as UTF-8. */
export type Bytes = Buffer | Uint8Array | string;
