import type { Bytes, Codec, Decoder } from './codec.js';
import { encoder } from './encode-into.js';
import { toBytes } from './to-bytes.js';
import { roomForText, writeText } from './write-text.js';

/**
 * No framing at all: what the socket read is what you get, and what you send is what it writes.
 *
 * A frame is a chunk as it was read, by reference and never empty; its boundaries mean nothing, since TCP joins and cuts
 * as it likes. Outgoing Buffers and Uint8Arrays are not copied, so do not change them until they have their outcome; only
 * SharedArrayBuffer and resizable memory is. Strings are written as UTF-8. Anything else, and a string with a lone
 * surrogate, is a `FrameError` of kind `encode`. Nothing is ever truncated, as no frame is longer than its chunk.
 *
 * @example
 * import { bytes } from 'rx-tcp';
 * const decoder = bytes().decoder(() => undefined);
 * decoder.push(Buffer.from([1, 2, 3]));
 * console.log(decoder.next(), decoder.next()); // <Buffer 01 02 03> undefined
 * console.log(bytes().encode('€')); // <Buffer e2 82 ac>
 */
export function bytes(): Codec<Buffer, Bytes> {
  return { decoder: () => new BytesDecoder(), encode };
}

const encode = encoder<Bytes>((message, target) => {
  if (typeof message !== 'string') return target.refer(toBytes(message, 'bytes()'));
  const at = target.reserve(roomForText(message));
  return writeText(message, target.bytes, at, 'bytes()');
});

// #chunks:  [ . . . | c d e ]    given out | waiting; a driver that drains after each push never has more than one
//                     ^#head
class BytesDecoder implements Decoder<Buffer> {
  readonly #chunks: (Buffer | undefined)[] = [];
  #head = 0;

  push(chunk: Buffer): void {
    if (chunk.length > 0) this.#chunks.push(chunk);
  }

  next(): Buffer | undefined {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else {
      this.#chunks[this.#head++] = undefined; // a frame that was given out is not ours to keep alive
    }
    return chunk;
  }

  end(): void {
    // every chunk is whole
  }
}
